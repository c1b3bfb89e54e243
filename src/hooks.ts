/**
 * Lets products import `millrace` and `millrace/testing` from the Millrace that runs, wherever their folder is, and be
 * modules whatever `type` their package.json says: `npm init` writes "commonjs". For its effect: import it before any product.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const doors: Readonly<Record<string, string>> = {
  millrace: new URL(`./index.${extension}`, import.meta.url).href,
  "millrace/testing": new URL(`./testing.${extension}`, import.meta.url).href,
};

registerHooks({
  resolve(specifier, context, nextResolve) {
    const url = Object.hasOwn(doors, specifier) ? doors[specifier] : undefined;
    if (url !== undefined) return { url, shortCircuit: true };
    const resolved = nextResolve(specifier, context);
    if (isTypeScript(resolved.url)) return { ...resolved, format: "module-typescript" };
    return resolved.format === "commonjs" && isModule(resolved.url) ? { ...resolved, format: "module" } : resolved;
  },
});

/** A CommonJS file in TypeScript has the ending `.cts`. */
function isTypeScript(url: string): boolean {
  return url.startsWith("file:") && /\.ts(?:[?#]|$)/.test(url);
}

/** Whether a JavaScript file of one's own has the syntax of a module, as Node itself looks where package.json gives no type. */
function isModule(url: string): boolean {
  if (!/^file:.*\.js(?:[?#]|$)/.test(url) || url.includes("/node_modules/")) return false;
  return /^(?:import\b\s*[\w{*"']|export\s*[{*]|export\s+(?:default|const|let|var|function|class|async)\b)/m.test(
    readFileSync(fileURLToPath(url), "utf8"),
  );
}
