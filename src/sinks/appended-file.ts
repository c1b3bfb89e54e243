/** Files that are appended to, also by several processes. */
import type { FileHandle } from "node:fs/promises";
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";

import { sleep } from "../clock.ts";
import type { OpenContext } from "../contracts.ts";
import { InfrastructureError, messageOf, MillraceError } from "../errors.ts";

/** How many bytes are read at a time. */
export const CHUNK = 64 * 1024;

/**
 * Opens a file for reading and appending, made with its folder if it is missing. A last line that a crash left incomplete is cut off.
 * @throws {MillraceError} when it can never be written
 * @throws {InfrastructureError} when it can't be just now
 */
export async function openForAppending(path: string, context: OpenContext): Promise<FileHandle> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, "a+");
    try {
      await cutIncompleteLine(file, context);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  } catch (error) {
    context.signal.throwIfAborted();
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      throw new MillraceError(`no permission to write the file ${path}: allow it to the user that Millrace runs as`, { cause: error });
    }
    if (code === "EISDIR") throw new MillraceError(`${path} is a directory; give the path of a file`, { cause: error });
    if (code === "ENOTDIR" || code === "EEXIST") {
      throw new MillraceError(`the file ${path} can't be made: a part of its path is a file, not a directory`, { cause: error });
    }
    throw new InfrastructureError(`the file ${path} can't be opened for writing: ${messageOf(error)}`, { cause: error });
  }
}

/** How long a file must stay the same before its incomplete last line counts as left behind, in milliseconds. */
const SETTLED_AFTER = 250;

/**
 * Cuts off what stands behind the last line end: a crash in the middle of a write left it, and it will be written again.
 * While another process writes to the file, such an end may be only half of what it is just writing: then it stays.
 */
async function cutIncompleteLine(file: FileHandle, { signal, clock }: OpenContext): Promise<void> {
  for (let size = (await file.stat()).size; ;) {
    const complete = await lengthOfWholeLines(file, size);
    if (complete === size) return;
    await sleep(SETTLED_AFTER, signal, clock);
    const later = (await file.stat()).size;
    if (later === size) {
      await file.truncate(complete);
      return;
    }
    size = later;
  }
}

async function lengthOfWholeLines(file: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.alloc(CHUNK);
  for (let end = size; end > 0; end -= CHUNK) {
    const start = Math.max(0, end - CHUNK);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    const newline = buffer.subarray(0, bytesRead).lastIndexOf(10);
    if (newline !== -1) return start + newline + 1;
  }
  return 0;
}
