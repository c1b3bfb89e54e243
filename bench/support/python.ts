import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const cache = fileURLToPath(new URL("../../.cache/bench/", import.meta.url));

/**
 * A virtual environment of Python with these packages, made the first time.
 * @param packages with their versions: `storey==1.14.1`
 * @returns the path of its `python`
 */
export async function pythonWith(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(cache, name);
  const done = join(folder, "complete");
  const python = join(folder, "bin/python");
  if (existsSync(done)) return python;
  await rm(folder, { recursive: true, force: true });
  await mkdir(cache, { recursive: true });
  await run("python3", ["-m", "venv", folder]);
  await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages]);
  // Paths are written into an environment, so it can't be made elsewhere and moved here: what is complete is marked.
  await mkdir(`${done}.new`);
  await rename(`${done}.new`, done);
  return python;
}
