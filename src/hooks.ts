/**
 * Lets products import `millrace` and `millrace/testing` from the Millrace that runs, wherever their folder is.
 * For its effect: import it before any product.
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
    return url === undefined ? nextResolve(specifier, context) : { url, shortCircuit: true };
  },
});
