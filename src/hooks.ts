/**
 * Lets products import `millrace` and `millrace/testing` from the Millrace that runs, wherever their folder is, and be
 * TypeScript modules whatever `type` their package.json says: `npm init` writes "commonjs". For its effect: import it before any product.
 */
import { registerHooks } from "node:module";

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
    return isTypeScript(resolved.url) ? { ...resolved, format: "module-typescript" } : resolved;
  },
});

/** A CommonJS file in TypeScript has the ending `.cts`. */
function isTypeScript(url: string): boolean {
  return url.startsWith("file:") && /\.ts(?:[?#]|$)/.test(url);
}
