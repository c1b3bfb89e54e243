/**
 * In a lane, `millrace` is the small door for models, for each file that imports nothing else from it. For its effect: import it
 * after hooks.ts, and before any model.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

import * as door from "./model-door.ts";

const url = new URL(`./model-door.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url).href;
const exported = new Set(Object.keys(door));

registerHooks({
  resolve(specifier, context, nextResolve) {
    return specifier === "millrace" && isContent(context.parentURL) ? { url, shortCircuit: true } : nextResolve(specifier, context);
  },
});

/** Whether the small door has all that a file imports from `millrace`. When in doubt it has not: the other has all. */
function isContent(file: string | undefined): boolean {
  if (file?.startsWith("file:") !== true) return false;
  try {
    const names = namesFrom(readFileSync(fileURLToPath(file), "utf8"));
    return names?.every((name) => exported.has(name)) === true;
  } catch {
    // It is imported as it was, and gone.
    return false;
  }
}

/** The names of values that a module's text imports from `millrace`; undefined when they can't be told. */
export function namesFrom(text: string): readonly string[] | undefined {
  const mentions = text.match(/["']millrace["']/g)?.length ?? 0;
  const clauses = [...text.matchAll(/\b(?:import|export)\s+(type\s)?\s*\{([^{}]*)\}\s*from\s*["']millrace["']/g)];
  if (clauses.length !== mentions) return undefined;
  const specifiers = clauses.flatMap(([, type, list = ""]) =>
    type === undefined ? list.replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, "").split(",") : [],
  );
  return specifiers
    .map((specifier) => specifier.trim())
    .filter((specifier) => specifier !== "" && !specifier.startsWith("type "))
    .map((specifier) => specifier.split(/\s/)[0] as string);
}
