import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { ConfigError } from "../errors.ts";
import { makeFolder, unusable } from "./folder.ts";

/** No encoded name of a task begins so. */
const LOCK = "=-lock";
const HOLDER = "=-lock-holder";
/** SQLite's code for "another holds it". */
const BUSY = 5;

/**
 * Takes a folder for this supervisor alone, until it is given back or the process ends, however it ends: the kernel frees the lock.
 * The folder is made when it is missing.
 * @throws {ConfigError} when another supervisor has it
 * @throws {InfrastructureError} when the folder can't be used
 */
export async function lockFolder(path: string): Promise<AsyncDisposable> {
  await makeFolder(path);
  const holder = join(path, HOLDER);
  const database = exclusively(path, holder);
  try {
    writeFileSync(holder, `${process.pid}\n`);
  } catch (error) {
    database.close();
    throw unusable(holder, error);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      if (!database.isOpen) return;
      rmSync(holder, { force: true });
      database.close();
    },
  };
}

/** An SQLite file under an exclusive transaction: a lock of the kernel, which needs no package and tells apart holders of one process too. */
function exclusively(path: string, holder: string): DatabaseSync {
  const file = join(path, LOCK);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database?.close();
    const { errcode = 0 } = error as { errcode?: number };
    if ((errcode & 0xff) !== BUSY) throw unusable(file, error);
    const pid = readHolder(holder);
    const by = pid === undefined ? "another supervisor" : `the supervisor with process id ${pid}`;
    const what = `is used by ${by}: a folder of checkpoints serves one. Stop that one, or give each its own folder in checkpoint.store, or use Redis or NATS`;
    throw new ConfigError([{ where: path, what }], { cause: error });
  }
}

function readHolder(file: string): string | undefined {
  try {
    return /^\d+/.exec(readFileSync(file, "utf8"))?.[0];
  } catch {
    return undefined;
  }
}
