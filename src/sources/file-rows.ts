import type { FileHandle } from "node:fs/promises";

import { CsvError, parse } from "csv-parse";

import type { Position } from "../batch.ts";
import { readChunks, type FileRecords } from "./file-lines.ts";

/** A row of a CSV file is broken. */
export class RowError extends Error {
  override readonly name = "RowError";
  readonly line: Position;

  constructor(line: Position, message: string) {
    super(message);
    this.line = line;
  }
}

/**
 * Reads a CSV file (RFC 4180, UTF-8, a header line first) as objects of text by column; empty lines are left out. The line
 * of a row is the one on which it ends.
 * @param from the first line wanted, from 0
 * @throws {RowError} after what came before it was yielded
 */
export async function* readRows(file: FileHandle, from: Position, maxLineBytes: number): AsyncGenerator<FileRecords> {
  const rows = new RowParser(from, maxLineBytes);
  const breaksText = textWatch();
  for await (const chunk of readChunks(file)) {
    const broken = breaksText(chunk);
    const records = await rows.take(chunk);
    yield broken ? beforeBrokenText(records) : records;
    if (broken) throw brokenText(records);
    rows.throwIfBroken();
  }
  const broken = breaksText(undefined);
  const records = await rows.end();
  yield broken ? beforeBrokenText(records) : records;
  if (broken) throw brokenText(records);
  rows.throwIfBroken();
}

/** Feeds a csv-parse stream, and collects its rows as they are parsed: the stream itself would stop at 16 unread ones. */
class RowParser {
  readonly #parser: ReturnType<typeof parse>;
  readonly #from: Position;
  #records: FileRecords;
  #failure: unknown;

  constructor(from: Position, maxLineBytes: number) {
    this.#from = from;
    this.#records = { values: [], lines: [], sizes: [], next: 0 };
    this.#parser = parse({
      columns: uniqueColumns,
      bom: true,
      skip_empty_lines: true,
      max_record_size: maxLineBytes,
      // Nothing is returned, so nothing goes through the stream.
      on_record: (row: Record<string, string>, { lines }) => this.#add(row, lines),
    });
    this.#parser.on("error", (error) => {
      this.#failure ??= error;
    });
  }

  async take(chunk: Buffer): Promise<FileRecords> {
    await new Promise<void>((resolve) => {
      this.#parser.write(chunk, () => resolve());
    });
    return this.#taken();
  }

  async end(): Promise<FileRecords> {
    await new Promise<void>((resolve) => {
      this.#parser.once("close", resolve);
      this.#parser.resume();
      this.#parser.end();
    });
    return this.#taken();
  }

  /** @throws {RowError} */
  throwIfBroken(): void {
    const failure = this.#failure;
    if (failure === undefined) return;
    if (failure instanceof RowError) throw failure;
    const line = failure instanceof CsvError && typeof failure["lines"] === "number" ? failure["lines"] - 1 : this.#records.next;
    // The parser's own message can quote the row.
    const reason = failure instanceof CsvError ? REASONS[failure.code] : undefined;
    throw new RowError(line, `the row is no CSV: ${reason ?? "it can't be parsed"}`);
  }

  #add(row: Record<string, string>, lines: number): undefined {
    const records = this.#records;
    records.next = lines;
    if (lines <= this.#from) return;
    records.values.push(row);
    records.lines.push(lines - 1);
    records.sizes.push(sizeOf(row));
  }

  #taken(): FileRecords {
    const records = this.#records;
    this.#records = { values: [], lines: [], sizes: [], next: records.next };
    return records;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  CSV_RECORD_INCONSISTENT_COLUMNS: "it has another number of columns than the header",
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: "it has another number of columns than the header",
  CSV_QUOTE_NOT_CLOSED: "a quote is not closed",
  CSV_INVALID_CLOSING_QUOTE: "something stands between a closing quote and the next comma",
  INVALID_OPENING_QUOTE: "a quote stands in the middle of a field",
  CSV_MAX_RECORD_SIZE: "it is longer than maxLineBytes",
};

/** @throws {RowError} for a header that names a column twice: one of them would be lost */
function uniqueColumns(header: string[]): string[] {
  const twice = header.find((name, index) => header.indexOf(name) !== index);
  if (twice !== undefined) throw new RowError(0, `the header names the column ${JSON.stringify(twice)} twice`);
  return header;
}

function sizeOf(row: Record<string, string>): number {
  let size = 0;
  for (const name in row) size += (row[name] as string).length + 1;
  return size;
}

/** Tells of each chunk, and of the end, whether bytes that are no UTF-8 came with it. */
function textWatch(): (chunk: Buffer | undefined) => boolean {
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  return (chunk) => {
    try {
      utf8.decode(chunk, { stream: chunk !== undefined });
      return false;
    } catch {
      return true;
    }
  };
}

function beforeBrokenText(records: FileRecords): FileRecords {
  const { values, lines, sizes, next } = records;
  const broken = brokenRow(records);
  if (broken === -1) return records;
  return { values: values.slice(0, broken), lines: lines.slice(0, broken), sizes: sizes.slice(0, broken), next: lines[broken] ?? next };
}

function brokenText(records: FileRecords): RowError {
  return new RowError(records.lines[brokenRow(records)] ?? records.next, "the row is not UTF-8 text");
}

/** The parser puts U+FFFD in the place of bytes that are no text: the first row that has it is where they are. */
function brokenRow(records: FileRecords): number {
  return records.values.findIndex((row) => Object.values(row as Record<string, string>).some((field) => field.includes("\uFFFD")));
}
