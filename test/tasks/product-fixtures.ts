import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { tempFolder } from "../support/temp-folder.ts";

/**
 * Writes a folder of products outside any package.
 * @param sources the text of each product's index.ts by its name
 * @returns the folder
 */
export function productFolder(t: TestContext, sources: Readonly<Record<string, string>>): string {
  const root = join(tempFolder(t), "products");
  mkdirSync(root);
  for (const [name, source] of Object.entries(sources)) writeProduct(root, name, source);
  return root;
}

/** Writes one product, or replaces it. */
export function writeProduct(root: string, name: string, source: string): void {
  mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, name, "index.ts"), source);
}

/** A product whose config is what its tests need, and whose pipeline reads nothing. */
export function goodProduct(name: string, { config = "n: z.number().default(1)", before = "", more = "" } = {}): string {
  return `
import { defineProduct, from, z } from "millrace";
import type { SinkSpec, SourceSpec } from "millrace";

const source: SourceSpec<number> = {
  kind: "none", description: {}, finite: true, timestamps: false, partitioned: false,
  open: async () => { throw new Error("not opened in this test"); },
};
const sink: SinkSpec = { kind: "none", description: {}, open: async () => { throw new Error("not opened in this test"); } };

export default defineProduct({
  name: ${JSON.stringify(name)},
  description: "for a test",
  config: z.strictObject({ ${config} }),
  pipeline: ({ config }) => { ${before}; return from(source).map((n: number) => n + 1).to(sink); },
  ${more}
});
`;
}
