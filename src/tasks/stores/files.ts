import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import type { Fault } from "../../errors.ts";
import { InfrastructureError, messageOf } from "../../errors.ts";
import { folderChanges } from "../../folder-changes.ts";
import { resolveReferences } from "../../secrets.ts";
import { pathText } from "../schema-issues.ts";
import type { StoreContents, StoredTask, TaskStore } from "./store.ts";
import { parseTaskFile, TaskFileError } from "./task-file.ts";
import type { WrittenTask } from "./task-file.ts";

/** What was last read of one file. */
interface FileState {
  /** Changes when the file does. */
  readonly signature: string;
  /** The tasks of the last time that the file could be read. */
  readonly tasks: readonly WrittenTask[];
  readonly fault: Fault | undefined;
}

/** A file of tasks that is larger than this is refused: it is probably no file of tasks. */
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * The tasks in the `.yaml`, `.yml` and `.json` files of one folder (not of folders within it), in the order of the files'
 * names. Files that begin with a dot are passed over. `${env:…}` and `${file:…}` are replaced; relative paths in them count
 * from the settings file, as those of sources and sinks do.
 *
 * A file that can't be read or parsed is a fault, and its tasks stay as they were last read.
 * @param folder absolute
 * @param directory what relative paths count from
 */
export class FilesStore implements TaskStore {
  readonly name: string;
  readonly #folder: string;
  readonly #directory: string;
  #files = new Map<string, FileState>();

  constructor(folder: string, directory: string = folder) {
    this.#folder = folder;
    this.#directory = directory;
    this.name = `files ${folder}`;
  }

  async read(signal: AbortSignal): Promise<StoreContents> {
    signal.throwIfAborted();
    const names = await this.#fileNames();
    const files = new Map<string, FileState>();
    for (const name of names) {
      signal.throwIfAborted();
      const file = join(this.#folder, name);
      const state = await readState(file, this.#files.get(file));
      if (state !== undefined) files.set(file, state);
    }
    this.#files = files;
    return {
      tasks: [...files].flatMap(([file, state]) => state.tasks.map((task) => storedTask(file, task, this.#directory))),
      faults: [...files.values()].flatMap((state) => state.fault ?? []),
    };
  }

  async #fileNames(): Promise<readonly string[]> {
    try {
      const names = await readdir(this.#folder);
      return names.filter((name) => !name.startsWith(".") && /\.(?:ya?ml|json)$/i.test(name)).toSorted();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT")
        throw new InfrastructureError(`there is no folder ${this.#folder}: make it, and put tasks in it`, { cause: error });
      throw new InfrastructureError(`the folder of task files can't be read: ${messageOf(error)}`, { cause: error });
    }
  }

  changes(signal: AbortSignal): AsyncIterable<void> {
    return folderChanges(this.#folder, signal);
  }
}

/** What the file holds; undefined when it is gone. Reads it only when it changed. */
async function readState(file: string, before: FileState | undefined): Promise<FileState | undefined> {
  let signature = "";
  try {
    const stats = await stat(file);
    signature = `${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`;
    if (before?.signature === signature) return before;
    if (!stats.isFile()) throw new TaskFileError("it is no file", undefined);
    if (stats.size > MOST_BYTES) throw new TaskFileError("it is larger than 16 MiB, too large for a file of tasks", undefined);
    return { signature, tasks: parseTaskFile(file, await readFile(file, "utf8")), fault: undefined };
  } catch (error) {
    if (Reflect.get(Object(error), "code") === "ENOENT" && signature !== "") return undefined;
    const line = error instanceof TaskFileError && error.line !== undefined ? `:${error.line}` : "";
    return { signature, tasks: before?.tasks ?? [], fault: { where: file + line, what: messageOf(error) } };
  }
}

function storedTask(file: string, task: WrittenTask, directory: string): StoredTask {
  const { value, secrets, faults } = resolveReferences(task.value, directory);
  const where = task.line === undefined ? file : `${file}:${task.line}`;
  return { where, origin: file, value, secrets, faults: faults.map((fault) => `${pathText("", fault.path)}: ${fault.what}`) };
}
