import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** Of larger files, such as models, only size and time count. Bytes. */
const MOST_READ = 1024 * 1024;

/** So many files at most: whoever has more has something else than a product there. */
const MOST_FILES = 10_000;

/** What the files in a folder hold, as texts that change when that does, by their absolute paths. */
export type FolderContents = ReadonlyMap<string, string>;

/** Looks at the files in a folder, at any depth. Files and folders that begin with a dot and `node_modules` do not count. */
export async function contentsOf(folder: string): Promise<FolderContents> {
  const contents = new Map<string, string>();
  let files = 0;
  const add = async (path: string): Promise<void> => {
    const entries = await readdir(path, { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".") || entry.name === "node_modules" || ++files > MOST_FILES) continue;
      const inner = join(path, entry.name);
      if (entry.isDirectory()) await add(inner);
      else contents.set(inner, await contentOf(inner));
    }
  };
  await add(folder);
  return contents;
}

/** A text that changes when a folder's contents do, wherever the folder is. */
export function fingerprintOf(folder: string, contents: FolderContents): string {
  const hash = createHash("sha256");
  for (const [path, content] of contents) hash.update(`${path.slice(folder.length)}\0${content}\0`);
  return hash.digest("base64url").slice(0, 22);
}

/** The files that hold something else than before, with those that came and went. */
export function changedFiles(before: FolderContents, after: FolderContents): readonly string[] {
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].filter((path) => before.get(path) !== after.get(path));
}

async function contentOf(file: string): Promise<string> {
  try {
    const stats = await stat(file);
    if (!stats.isFile()) return "no file";
    if (stats.size > MOST_READ) return `${stats.size} ${stats.mtimeMs}`;
    return createHash("sha256")
      .update(await readFile(file))
      .digest("base64");
  } catch (error) {
    return `unreadable: ${String(Reflect.get(Object(error), "code"))}`;
  }
}
