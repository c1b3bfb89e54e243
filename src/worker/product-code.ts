import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

/**
 * Lets a worker import a product again after its files have changed: Node keeps every module that it has imported, by its
 * URL, so the files of the product's folder get another URL for each later version of its code.
 */
export interface ProductCode {
  /**
   * Says which version of a product is to be imported from now on.
   * @param folder absolute, without links
   * @param code the fingerprint of its files
   */
  use(folder: string, code: string): void;
}

/** @see ProductCode. Once per process. */
export function followProductCode(): ProductCode {
  /** Of each folder's URL: the version first imported, which has clean URLs for breakpoints, and the one wanted. */
  const versions = new Map<string, { readonly first: string; wanted: string }>();
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context);
      if (!resolved.url.startsWith("file:") || resolved.url.includes("?")) return resolved;
      for (const [folder, { first, wanted }] of versions) {
        if (wanted !== first && resolved.url.startsWith(folder))
          return { ...resolved, url: `${resolved.url}?code=${encodeURIComponent(wanted)}` };
      }
      return resolved;
    },
  });
  return {
    use(folder, code) {
      const url = `${pathToFileURL(folder).href}/`;
      const known = versions.get(url);
      if (known === undefined) versions.set(url, { first: code, wanted: code });
      else known.wanted = code;
    },
  };
}
