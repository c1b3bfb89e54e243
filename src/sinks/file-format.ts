import { stringify } from "csv-stringify/sync";

import type { Event } from "../batch.ts";
import { CSV_CAST } from "../csv.ts";
import { DataError } from "../errors.ts";
import { encoderFor } from "../values.ts";

/** What is written for some events. */
export interface Lines {
  readonly bytes: Buffer;
  /** The first event that can't be written; `bytes` has those before it. */
  readonly refused: DataError | undefined;
}

/** Makes the bytes that a batch of events is written as. */
export interface LineWriter {
  /** @param begins whether the file is empty so far */
  linesOf(events: readonly Event[], begins: "empty file" | "more"): Lines;
}

const NEWLINE = 10;

/** One value per line: JSON (bytes and text are taken as JSON already) or text. */
export function lineWriter(format: "ndjson" | "text", step: string): LineWriter {
  const encode = encoderFor(format === "text" ? "text" : undefined);
  const empty = format === "text" ? "" : "null";
  return {
    linesOf(events) {
      const { results, refused } = upToRefused(step, events, (event) => oneLine(encode(event.value) ?? empty));
      return { bytes: joined(results), refused };
    },
  };
}

/** What `csvWriter` writes. */
export interface CsvColumns {
  /** Dotted paths (`value.total`) to write; other fields are left out. */
  readonly chosen: readonly string[] | undefined;
  /** Those of the file's header line, if it has one. */
  readonly existing: readonly string[] | undefined;
}

/**
 * Rows with a header line. Columns are those chosen, else those of the file, else the fields of the values of the first
 * batch; unless they were chosen, a value with another field is refused, since that would be lost.
 */
export function csvWriter({ chosen, existing }: CsvColumns, step: string): LineWriter {
  let columns = chosen ?? existing;
  return {
    linesOf(events, begins) {
      if (events.length === 0) return { bytes: Buffer.alloc(0), refused: undefined };
      columns ??= fieldsOf(events);
      const names = chosen === undefined ? new Set(columns) : undefined;
      const header = begins === "empty file";
      const { results, refused } = upToRefused(step, events, (event) => rowOf(event.value, names));
      if (results.length === 0) return { bytes: Buffer.alloc(0), refused };
      try {
        return { bytes: Buffer.from(textOf(results, columns, header)), refused };
      } catch {
        return rowByRow(events.slice(0, results.length), columns, header, step);
      }
    },
  };
}

/** Finds the row that can't be written, which a text of many does not tell. */
function rowByRow(events: readonly Event[], columns: readonly string[], header: boolean, step: string): Lines {
  let begun = !header;
  const { results, refused } = upToRefused(step, events, ({ value }) => {
    const text = textOf([value], columns, !begun);
    begun = true;
    return text;
  });
  return { bytes: Buffer.from(results.join("")), refused };
}

function textOf(rows: readonly unknown[], columns: readonly string[], header: boolean): string {
  return stringify([...rows], { columns: [...columns], header, cast: CSV_CAST });
}

function joined(values: readonly (Uint8Array | string)[]): Buffer {
  if (values.every((value) => typeof value === "string")) return Buffer.from(values.length === 0 ? "" : `${values.join("\n")}\n`);
  const newline = Uint8Array.of(NEWLINE);
  return Buffer.concat(values.flatMap((value) => [typeof value === "string" ? Buffer.from(value) : value, newline]));
}

function oneLine(value: Uint8Array | string): Uint8Array | string {
  const broken = typeof value === "string" ? value.includes("\n") : value.includes(NEWLINE);
  if (broken) throw new TypeError("the value has a line break, so it can't be one line of the file");
  return value;
}

function fieldsOf(events: readonly Event[]): readonly string[] {
  return [...new Set(events.flatMap(({ value }) => (isRow(value) ? Object.keys(value) : [])))];
}

function rowOf(value: unknown, names: ReadonlySet<string> | undefined): Record<string, unknown> {
  if (!isRow(value)) throw new TypeError("a row of a CSV file must be an object");
  const extra = names === undefined ? undefined : Object.keys(value).find((name) => !names.has(name));
  if (extra !== undefined) throw new TypeError(`the file has no column for the field "${extra}"; list the columns to write in "columns"`);
  return value;
}

function isRow(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function upToRefused<R>(
  step: string,
  events: readonly Event[],
  work: (event: Event) => R,
): { readonly results: readonly R[]; readonly refused: DataError | undefined } {
  const results: R[] = [];
  for (const event of events) {
    try {
      results.push(work(event));
    } catch (error) {
      return { results, refused: new DataError(step, event, error) };
    }
  }
  return { results, refused: undefined };
}
