/** The file operations of the file store: durable writes, and errors that say what to do. */
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";

import { InfrastructureError, MillraceError, messageOf } from "../errors.ts";

/** Names of files that are being written begin so; one that a crash left behind is never read. */
export const TEMPORARY = "tmp-";

/** Names of what is in a folder; undefined when there is none. */
export async function namesIn(folder: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unusable(folder, error);
  }
}

/** A file's bytes; undefined when there is none. */
export async function bytesOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unusable(path, error);
  }
}

/**
 * Puts a file in its place in one step: its content is on the disk before its name is. The name is there after a power cut only
 * when the folder was synchronised as well.
 * @param writer begins the name of the file while it is written, after `TEMPORARY`
 * @returns false when the folder is gone, or somebody took the unfinished file away
 */
export async function putFile(path: string, writer: string, chunks: readonly Uint8Array[]): Promise<boolean> {
  const temporary = join(dirname(path), `${TEMPORARY}${writer}-${randomBytes(8).toString("hex")}`);
  try {
    await writeNew(temporary, chunks);
    await rename(temporary, path);
    return true;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (isMissing(error)) return false;
    throw unusable(path, error);
  }
}

/** Makes a small file where there is none of that name: only one of those who try at once can. @returns false when there is one, or no folder */
export async function createFile(path: string, chunk: Uint8Array): Promise<boolean> {
  try {
    await writeNew(path, [chunk]);
    return true;
  } catch (error) {
    if (isMissing(error) || codeOf(error) === "EEXIST") return false;
    throw unusable(path, error);
  }
}

async function writeNew(path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const file = await open(path, "wx");
  try {
    for (const chunk of chunks) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes what was put into a folder, and taken out of it, last over a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    // Windows opens no folders.
    if (isMissing(error) || process.platform === "win32") return;
    throw unusable(folder, error);
  }
}

/** Makes a folder and those above it, lasting. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    const first = await mkdir(folder, { recursive: true });
    if (first === undefined) return;
    for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
  } catch (error) {
    throw unusable(folder, error);
  }
}

/** Deletes files; those that are gone already are passed over. */
export async function deleteFiles(folder: string, names: Iterable<string>): Promise<void> {
  for (const name of names) {
    try {
      await rm(join(folder, name), { force: true });
    } catch (error) {
      throw unusable(join(folder, name), error);
    }
  }
}

/** Moves a folder. @returns false when there is none */
export async function moveFolder(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw unusable(from, error);
  }
}

/** Deletes a folder if it is empty. */
export async function deleteEmptyFolder(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch {
    // It is in use, or gone.
  }
}

/** Deletes a folder with all that is in it. */
export async function deleteFolder(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    throw unusable(folder, error);
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space, or move checkpoint.store elsewhere",
  EDQUOT: "the quota is used up: free some space, or raise it",
  EFBIG: "the file would be larger than the system lets this process write: raise its limit (ulimit -f)",
  EACCES: "permission denied: let the user that Millrace runs as read and write there",
  EPERM: "permission denied: let the user that Millrace runs as read and write there",
  EROFS: "the file system takes no writes: mount it writable, or move checkpoint.store elsewhere",
  ENOTDIR: "a part of the path is a file: move it away, or set checkpoint.store to another folder",
  EEXIST: "a part of the path is a file: move it away, or set checkpoint.store to another folder",
  EMFILE: "too many files are open: raise the limit (ulimit -n)",
};

/** An error of the file system for the operator. */
export function unusable(path: string, error: unknown): Error {
  if (error instanceof MillraceError) return error;
  return new InfrastructureError(`checkpoints at ${path}: ${REMEDIES[codeOf(error)] ?? messageOf(error)}`, { cause: error });
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
