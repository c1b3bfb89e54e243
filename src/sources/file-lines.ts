import type { FileHandle } from "node:fs/promises";

import type { Position } from "../batch.ts";

/** Some neighbouring records of a file, as bytes or as decoded rows, with the number of the line of each (from 0). */
export interface FileRecords {
  readonly values: unknown[];
  readonly lines: Position[];
  readonly sizes: number[];
  /** The line after the last one that was looked at. */
  next: Position;
}

/** A line is longer than the limit. */
export class LineTooLongError extends Error {
  override readonly name = "LineTooLongError";
  readonly line: Position;

  constructor(line: Position, limit: number) {
    super(`the line is longer than ${limit} bytes; raise maxLineBytes if that is meant`);
    this.line = line;
  }
}

const CHUNK = 256 * 1024;
const NEWLINE = 10;
const RETURN = 13;

/**
 * Reads a file's lines as bytes without their line ends (LF or CRLF), leaving out empty ones. Each yield has the lines of
 * one chunk of the file.
 * @param from the first line wanted, from 0
 * @throws {LineTooLongError} after what came before it was yielded
 */
export async function* readLines(file: FileHandle, from: Position, maxLineBytes: number): AsyncGenerator<FileRecords> {
  const begun = new BegunLine();
  let line = 0;
  for await (const chunk of readChunks(file)) {
    const records: FileRecords = { values: [], lines: [], sizes: [], next: line };
    let start = 0;
    let tooLong = false;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      tooLong = begun.length + end - start > maxLineBytes;
      if (tooLong) break;
      const bytes = begun.endedBy(chunk.subarray(start, end));
      if (line >= from) addLine(records, bytes, line);
      line += 1;
      start = end + 1;
    }
    records.next = line;
    yield records;
    if (tooLong) throw new LineTooLongError(line, maxLineBytes);
    begun.add(chunk.subarray(start));
    if (begun.length > maxLineBytes) throw new LineTooLongError(line, maxLineBytes);
  }
  if (begun.length === 0) return;
  const records: FileRecords = { values: [], lines: [], sizes: [], next: line + 1 };
  if (line >= from) addLine(records, begun.endedBy(Buffer.alloc(0)), line);
  yield records;
}

/** The start of a line whose end is not yet read, in the pieces that it came in. */
class BegunLine {
  #pieces: Buffer[] = [];
  length = 0;

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.length += piece.length;
  }

  /** The whole line, which is then forgotten. */
  endedBy(last: Buffer): Buffer {
    if (this.length === 0) return last;
    const whole = Buffer.concat([...this.#pieces, last]);
    this.#pieces = [];
    this.length = 0;
    return whole;
  }
}

/** The chunks of a file, in new buffers: lines are parts of them and live on. */
export async function* readChunks(file: FileHandle): AsyncGenerator<Buffer> {
  while (true) {
    const buffer = Buffer.allocUnsafeSlow(CHUNK);
    const { bytesRead } = await file.read(buffer, 0, CHUNK);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

function addLine(records: FileRecords, bytes: Buffer, line: number): void {
  const length = bytes[bytes.length - 1] === RETURN ? bytes.length - 1 : bytes.length;
  if (length === 0) return;
  records.values.push(length === bytes.length ? bytes : bytes.subarray(0, length));
  records.lines.push(line);
  records.sizes.push(length);
}
