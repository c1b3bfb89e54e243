import { nearMiss } from "../near-miss.ts";
import { leaves, schema, isLeaf } from "./schema.ts";
import type { Section } from "./schema.ts";

/** What to say of a setting that does not exist: the one that was probably meant, else what there is beside it. */
export function unknownSetting(path: string): string {
  const meant = nearMiss(path, allPaths(schema, "")) ?? ofSameName(path);
  const hint = meant === undefined ? `. \`millrace config\` lists all settings` : `. Did you mean "${meant}"?`;
  return `"${path}" is no setting${hint}`;
}

/** `brokers` → `kafka.brokers`, `kafka.url` → nothing when two settings end so. */
function ofSameName(path: string): string | undefined {
  const name = path.split(".").at(-1) ?? path;
  const same = [...leaves.keys()].filter((leaf) => leaf.split(".").at(-1) === name);
  if (same.length === 1) return same[0];
  const section = path.split(".").slice(0, -1).join(".");
  const inSection = [...leaves.keys()].filter((leaf) => leaf.startsWith(`${section}.`));
  return section === "" ? undefined : nearMiss(path, inSection);
}

/** Of settings and sections. */
function allPaths(section: Section, prefix: string): string[] {
  return Object.entries(section).flatMap(([name, node]) => [prefix + name, ...(isLeaf(node) ? [] : allPaths(node, `${prefix}${name}.`))]);
}
