import type { FileHandle } from "node:fs/promises";

import { CsvError, type Info, parse } from "csv-parse";

import type { Position } from "../batch.ts";
import { readChunks, type FileRecords } from "./file-lines.ts";

/** A row of a CSV file is broken. */
export class RowError extends Error {
  override readonly name = "RowError";
  readonly line: Position;

  constructor(line: Position, message: string, options?: ErrorOptions) {
    super(message, options);
    this.line = line;
  }
}

interface Row {
  readonly record: Record<string, string>;
  readonly info: Info;
}

/**
 * Reads a CSV file (RFC 4180, UTF-8, a header line first) as objects of text by column. The line of a row is the one on
 * which it ends.
 * @param from the first line wanted, from 0
 * @throws {RowError} after what came before it was yielded
 */
export async function* readRows(file: FileHandle, from: Position, maxLineBytes: number): AsyncGenerator<FileRecords> {
  const parser = parse({ columns: true, info: true, bom: true, skip_empty_lines: true, max_record_size: maxLineBytes });
  let failure: unknown;
  parser.on("error", (error) => {
    failure ??= error;
  });
  let next = 0;
  const take = (): FileRecords => {
    const records: FileRecords = { values: [], lines: [], sizes: [], next };
    for (let row = parser.read() as Row | null; row !== null; row = parser.read() as Row | null) {
      next = row.info.lines;
      if (next <= from) continue;
      records.values.push(row.record);
      records.lines.push(next - 1);
      records.sizes.push(0);
    }
    records.next = next;
    return records;
  };
  for await (const chunk of readChunks(file)) {
    await new Promise((resolve) => parser.write(chunk, resolve));
    yield take();
    if (failure !== undefined) throw rowError(failure, next);
  }
  await new Promise<void>((resolve) => {
    parser.once("error", () => resolve());
    parser.end(resolve);
  });
  yield take();
  if (failure !== undefined) throw rowError(failure, next);
}

function rowError(failure: unknown, next: Position): RowError {
  const lines = failure instanceof CsvError && typeof failure["lines"] === "number" ? failure["lines"] : next + 1;
  // The parser's own message can quote the row.
  const code = failure instanceof CsvError ? failure.code : "";
  return new RowError(lines - 1, `the row is no CSV: ${REASONS[code] ?? "it can't be parsed"}`);
}

const REASONS: Readonly<Record<string, string>> = {
  CSV_RECORD_INCONSISTENT_COLUMNS: "it has another number of columns than the header",
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: "it has another number of columns than the header",
  CSV_QUOTE_NOT_CLOSED: "a quote is not closed",
  CSV_INVALID_CLOSING_QUOTE: "something stands between a closing quote and the next comma",
  INVALID_OPENING_QUOTE: "a quote stands in the middle of a field",
  CSV_MAX_RECORD_SIZE: "it is longer than maxLineBytes",
};
