/** Names of tasks and partitions as parts of paths and keys. */
import { createHash } from "node:crypto";

const PLAIN = /[^a-z0-9_-]/gu;

/**
 * Any text as a name of lower-case ASCII letters, digits, `_`, `-` and `=`: other characters become `=` and two hexadecimal
 * digits for each of their bytes, so that names which differ only in case stay apart on every file system. What would be longer
 * than `longest` characters (at least 80) is cut and gets a hash; such a name can't be read back.
 */
export function safeName(text: string, longest: number): string {
  if (text === "") return "=";
  const encoded = text.replaceAll(PLAIN, (character) =>
    [...Buffer.from(character)].map((byte) => `=${byte.toString(16).padStart(2, "0")}`).join(""),
  );
  if (encoded.length <= longest) return encoded;
  // No encoded text holds "=-".
  return `${encoded.slice(0, longest - 66)}=-${createHash("sha256").update(text).digest("hex")}`;
}

/** Sorts by task, then by partition, in the same order everywhere. */
export function byName(a: Named, b: Named): number {
  return compare(a.name.task, b.name.task) || compare(a.name.partition, b.name.partition);
}

interface Named {
  readonly name: { readonly task: string; readonly partition: string };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
