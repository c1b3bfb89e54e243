import { registerHooks } from "node:module";

/** The texts of modules by the URLs under which they are imported. */
let held: Map<string, string> | undefined;

/**
 * Lets a module be imported as it was, whatever its file holds by now: what it imports itself is found from the same place.
 * @param url of its file
 * @param name tells texts of one file apart
 * @returns the URL to import; undefined where only what is in the file can be imported: CommonJS has no text of its own
 */
export function holdModule(url: string, text: string, name: string): string | undefined {
  const as = new URL(url);
  if (!/\.(?:ts|mts|js|mjs)$/.test(as.pathname)) return undefined;
  as.searchParams.set("held", name);
  hooked().set(as.href, text);
  return as.href;
}

function hooked(): Map<string, string> {
  if (held !== undefined) return held;
  const texts = new Map<string, string>();
  registerHooks({
    // Its file may be gone.
    resolve: (specifier, context, nextResolve) =>
      texts.has(specifier) ? { url: specifier, shortCircuit: true } : nextResolve(specifier, context),
    load(url, context, nextLoad) {
      const source = texts.get(url);
      if (source === undefined) return nextLoad(url, context);
      const format = /\.m?ts\?/.test(url) ? "module-typescript" : "module";
      return { format, source, shortCircuit: true };
    },
  });
  held = texts;
  return texts;
}
