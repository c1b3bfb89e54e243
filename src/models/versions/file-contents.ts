import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";

/** What some files held when they were looked at. */
export interface Contents {
  /** Changes whenever a file is written; may change though it holds the same. */
  readonly written: string;
  /** Changes when what a file holds does; undefined when one of them is not there or can't be read. */
  readonly held: string | undefined;
}

/**
 * Looks at some files. Reads only what was written since the last look.
 * @param before what the same files held then
 */
export async function contentsOf(files: readonly string[], before?: Contents): Promise<Contents> {
  const written = (await Promise.all(files.map(writtenOf))).join("\n");
  if (written === before?.written) return before;
  try {
    const held = await Promise.all(files.map(heldBy));
    return { written, held: held.join("\n") };
  } catch {
    return { written, held: undefined };
  }
}

async function writtenOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch {
    return "not there";
  }
}

async function heldBy(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("base64url");
}
