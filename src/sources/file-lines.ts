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
  let rest: Buffer = Buffer.alloc(0);
  let line = 0;
  for await (const chunk of readChunks(file)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const records: FileRecords = { values: [], lines: [], sizes: [], next: line };
    let start = 0;
    let tooLong = false;
    for (let end = bytes.indexOf(NEWLINE, rest.length); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      tooLong = end - start > maxLineBytes;
      if (tooLong) break;
      if (line >= from) addLine(records, bytes, start, end, line);
      line += 1;
      start = end + 1;
    }
    records.next = line;
    yield records;
    rest = bytes.subarray(start);
    if (tooLong || rest.length > maxLineBytes) throw new LineTooLongError(line, maxLineBytes);
  }
  if (rest.length === 0) return;
  const records: FileRecords = { values: [], lines: [], sizes: [], next: line + 1 };
  if (line >= from) addLine(records, rest, 0, rest.length, line);
  yield records;
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

function addLine(records: FileRecords, bytes: Buffer, start: number, end: number, line: number): void {
  const last = end > start && bytes[end - 1] === RETURN ? end - 1 : end;
  if (last === start) return;
  records.values.push(bytes.subarray(start, last));
  records.lines.push(line);
  records.sizes.push(last - start);
}
