/**
 * Checkpoints as one portable file. A line with the kind and version, then frames: the length and the CRC-32 of what follows, a
 * JSON header that says what it is, a line end, and bytes. Each checkpoint is a frame with its manifest and one for each of its
 * parts; a last frame tells how many checkpoints there are, so that a file that was cut is noticed.
 */
import { crc32 } from "node:zlib";

import type { CheckpointName } from "../../checkpoint-store.ts";
import { MillraceError } from "../../errors.ts";

const KIND = "millrace-checkpoints";
const FORMAT = 1;
const PREFIX = 8;
/** Larger than any part with its header. */
const LONGEST = 256 * 1024 * 1024;

/** One checkpoint in such a file, with all that its manifest speaks of. */
export interface ArchivedCheckpoint {
  readonly name: CheckpointName;
  readonly manifest: Uint8Array;
  readonly parts: ReadonlyMap<string, Uint8Array>;
}

/** A file can't be read as exported checkpoints. */
export class ArchiveError extends MillraceError {
  override readonly name = "ArchiveError";
}

type Header =
  | ({ readonly type: "manifest" } & CheckpointName)
  | { readonly type: "part"; readonly id: string }
  | { readonly type: "end"; readonly checkpoints: number };

/** The file's bytes, piece by piece; a checkpoint at a time is in memory. */
export async function* packArchive(checkpoints: AsyncIterable<ArchivedCheckpoint>): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${KIND} ${FORMAT}\n`);
  let count = 0;
  for await (const { name, manifest, parts } of checkpoints) {
    yield frame({ type: "manifest", task: name.task, partition: name.partition }, manifest);
    for (const [id, bytes] of parts) yield frame({ type: "part", id }, bytes);
    count += 1;
  }
  yield frame({ type: "end", checkpoints: count }, new Uint8Array());
}

function frame(header: Header, bytes: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), bytes]);
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32BE(body.length);
  prefix.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([prefix, body]);
}

/**
 * Reads a file, a checkpoint at a time.
 * @throws {ArchiveError} when it is none, damaged, cut, or of a later version; what came before was whole then
 */
export async function* unpackArchive(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ArchivedCheckpoint> {
  let current: { name: CheckpointName; manifest: Uint8Array; parts: Map<string, Uint8Array> } | undefined;
  let count = 0;
  for await (const { header, content } of frames(bytes)) {
    if (header.type === "part") {
      if (current === undefined) throw new ArchiveError("it is damaged: a part comes before its checkpoint");
      current.parts.set(header.id, content);
      continue;
    }
    if (current !== undefined) yield current;
    current = undefined;
    if (header.type === "end") {
      if (header.checkpoints !== count) throw new ArchiveError("it is damaged: checkpoints are missing");
      return;
    }
    count += 1;
    current = { name: { task: header.task, partition: header.partition }, manifest: content, parts: new Map() };
  }
  throw new ArchiveError("it is cut off: its end is missing");
}

async function* frames(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<{ readonly header: Header; readonly content: Buffer }> {
  const reader = new Reader(bytes);
  const first = `${KIND} ${FORMAT}\n`;
  const line = (await reader.take(first.length))?.toString("latin1") ?? "";
  const version = new RegExp(`^${KIND} (\\d+)`).exec(line)?.[1];
  if (version === undefined) throw new ArchiveError("it holds no exported checkpoints");
  if (line !== first)
    throw new ArchiveError(`it has the format ${version}, and this Millrace reads the format ${FORMAT}: use the version that made it`);
  for (;;) {
    const prefix = await reader.take(PREFIX);
    if (prefix === undefined) return;
    const length = prefix.readUInt32BE();
    const body = length > LONGEST ? undefined : await reader.take(length);
    if (body === undefined) throw new ArchiveError("it is damaged or cut off");
    if (crc32(body) !== prefix.readUInt32BE(4)) throw new ArchiveError("it is damaged: a checksum is wrong");
    const end = body.indexOf("\n");
    yield { header: JSON.parse(body.subarray(0, end).toString()) as Header, content: body.subarray(end + 1) };
  }
}

/** Takes exact numbers of bytes from pieces of any size. */
class Reader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#pieces = bytes[Symbol.asyncIterator]();
  }

  /** Undefined when there are not so many. */
  async take(length: number): Promise<Buffer | undefined> {
    const taken = [this.#rest];
    let size = this.#rest.length;
    while (size < length) {
      const { value, done } = await this.#pieces.next();
      if (done === true) return undefined;
      taken.push(Buffer.from(value));
      size += value.length;
    }
    const all = Buffer.concat(taken);
    this.#rest = all.subarray(length);
    return all.subarray(0, length);
  }
}
