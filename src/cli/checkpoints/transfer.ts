/** `checkpoints export` and `checkpoints import`. */
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import type { CheckpointName, CheckpointStore } from "../../checkpoint-store.ts";
import { MillraceError, messageOf, UsageError } from "../../errors.ts";
import type { ArchivedCheckpoint } from "../../pipeline/state/archive.ts";
import { ArchiveError, packArchive, unpackArchive } from "../../pipeline/state/archive.ts";
import { checkArchived, putCheckpoint, takeCheckpoint } from "../../pipeline/state/transfer.ts";
import { EXIT } from "../exit-codes.ts";
import type { SettingsFlags } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import { withStore } from "./open-store.ts";
import { nothing } from "./show.ts";

/** The flags of `checkpoints export`. */
export interface ExportFlags extends SettingsFlags {
  readonly partition?: readonly string[];
}

/** `millrace checkpoints export`. */
export async function exportAll(task: string, file: string | undefined, flags: ExportFlags, surroundings: Surroundings): Promise<number> {
  const { partition: wanted } = flags;
  return await withStore(flags, surroundings, async ({ store, signal }) => {
    const all = await store.list(task, signal);
    const unknown = wanted?.find((partition) => all.every(({ name }) => name.partition !== partition));
    if (all.length === 0 || unknown !== undefined) throw new UsageError(nothing(task, unknown, all));
    const names = all.map(({ name }) => name).filter(({ partition }) => wanted?.includes(partition) ?? true);
    const taken: string[] = [];
    const bytes = packArchive(takenOf(store, names, taken, { signal, err: surroundings.err }));
    if (file === undefined || file === "-") await pipeline(Readable.from(bytes), process.stdout, { end: false });
    else await writeWhole(resolve(surroundings.cwd, file), bytes);
    surroundings.err(`${task}: exported ${taken.length === 0 ? "nothing" : taken.join(", ")}\n`);
    return EXIT.done;
  });
}

async function* takenOf(
  store: CheckpointStore,
  names: readonly CheckpointName[],
  taken: string[],
  { signal, err }: { readonly signal: AbortSignal; readonly err: (text: string) => void },
): AsyncGenerator<ArchivedCheckpoint> {
  for (const name of names) {
    const checkpoint = await takeCheckpoint(store, name, signal).catch((error: unknown) => {
      throw new MillraceError(`checkpoint of ${name.partition}: ${messageOf(error)}`, { cause: error });
    });
    if (checkpoint === undefined) {
      err(`millrace: warning: ${name.partition}: nothing was saved yet\n`);
      continue;
    }
    yield checkpoint;
    taken.push(name.partition);
  }
}

/** A file that is not whole never has the name. */
async function writeWhole(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const unfinished = `${path}.unfinished`;
  try {
    const handle = await open(unfinished, "w", 0o600);
    try {
      for await (const piece of bytes) await handle.writeFile(piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    if (error instanceof MillraceError) throw error;
    throw new MillraceError(`${path} can't be written: ${messageOf(error)}`, { cause: error });
  }
}

/** The flags of `checkpoints import`. */
export interface ImportFlags extends SettingsFlags {
  readonly as?: string;
}

/** `millrace checkpoints import`: all of the file is looked at before anything is changed. */
export async function importAll(task: string, file: string, flags: ImportFlags, surroundings: Surroundings): Promise<number> {
  const path = resolve(surroundings.cwd, file);
  const into = flags.as ?? task;
  return await withStore(flags, surroundings, async ({ store, signal }) => {
    await readingOf(path, async (checkpoints) => {
      for await (const checkpoint of checkpoints) await checkArchived(checkpoint, task, signal);
    });
    await readingOf(path, async (checkpoints) => {
      for await (const checkpoint of checkpoints) {
        const { position } = await checkArchived(checkpoint, task, signal);
        await putCheckpoint(store, checkpoint, into, signal);
        surroundings.out(`${into} ${checkpoint.name.partition}: goes on from position ${position}\n`);
      }
    });
    return EXIT.done;
  });
}

async function readingOf(path: string, read: (checkpoints: AsyncIterable<ArchivedCheckpoint>) => Promise<void>): Promise<void> {
  try {
    await read(unpackArchive(createReadStream(path)));
  } catch (error) {
    if (error instanceof ArchiveError) throw new ArchiveError(`${path}: ${messageOf(error)}; nothing was imported`, { cause: error });
    if (error instanceof Error && "code" in error && "syscall" in error) throw new UsageError(`${path} can't be read: ${messageOf(error)}`);
    throw error;
  }
}
