import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** Of larger files, such as models, only size and time count. Bytes. */
const MOST_READ = 1024 * 1024;

/** So many files at most: whoever has more has something else than a product there. */
const MOST_FILES = 10_000;

/**
 * A text that changes when the files in a folder, at any depth, do. Files and folders that begin with a dot and
 * `node_modules` do not count.
 */
export async function fingerprint(folder: string): Promise<string> {
  const hash = createHash("sha256");
  let files = 0;
  const add = async (path: string, name: string): Promise<void> => {
    const entries = await readdir(path, { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".") || entry.name === "node_modules" || ++files > MOST_FILES) continue;
      const inner = join(path, entry.name);
      if (entry.isDirectory()) await add(inner, `${name}/${entry.name}`);
      else hash.update(`${name}/${entry.name}\0${await contentOf(inner)}\0`);
    }
  };
  await add(folder, "");
  return hash.digest("base64url").slice(0, 22);
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
