/** One row of CSV (RFC 4180) as text and back. Whole files are read by the file source and written by the file sink. */
import { parse } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";

/**
 * The fields of one row without a header.
 * @throws {TypeError} when it is not exactly one row
 */
export function fieldsOfRow(text: string): readonly string[] {
  const row = text.replace(/\r?\n$/, "");
  if (!/["\r\n]/.test(row)) return row.split(",");
  let rows: string[][];
  try {
    rows = parse(row);
  } catch {
    // The parser's own message can quote the row.
    throw new TypeError("the value is no row of CSV: a quote is not closed or stands in the wrong place");
  }
  const [fields] = rows;
  if (rows.length !== 1 || fields === undefined) throw new TypeError(`the value is ${rows.length} rows of CSV, not one`);
  return fields;
}

/**
 * One row without a line end: of an array its items, of an object the values of its fields in their order. Objects and
 * arrays within become JSON.
 * @throws {TypeError} for anything else
 */
export function rowOfFields(value: unknown): string {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array)
    throw new TypeError("a row of CSV must be an array or an object");
  const fields: unknown[] = Array.isArray(value) ? value : Object.values(value);
  return stringify([fields], { eof: false, cast: CSV_CAST });
}

/** How values other than text and numbers stand in a field. */
export const CSV_CAST = {
  object: (value: object) => JSON.stringify(value),
  boolean: String,
  date: (value: Date) => value.toISOString(),
} as const;
