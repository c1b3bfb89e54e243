/** The table of dead letters: its columns, and a letter as a row. */
import type { DeadLetter } from "../../dead-letter.ts";
import type { SqlValue } from "../../sql/database.ts";
import { fieldsOf, isoTime, letterOf } from "./fields.ts";
import { headersFromJson, headersToJson } from "./headers-json.ts";
import { base64Of, textOf } from "./line.ts";

const COLUMNS: Readonly<Record<string, string>> = {
  id: "text PRIMARY KEY",
  task: "text NOT NULL",
  product: "text NOT NULL",
  step: "text NOT NULL",
  origin: "text NOT NULL",
  place: "text NOT NULL",
  holds: "text NOT NULL",
  error: "text NOT NULL",
  message: "text NOT NULL",
  stack: "text",
  attempts: "integer NOT NULL",
  first: "text NOT NULL",
  last: "text NOT NULL",
  version: "text NOT NULL",
  left_out: "bigint",
  key: "text",
  time: "text",
  headers: "text",
  value: "text",
  text: "text",
};

/** The names of the columns, in the order of a row. */
export const LETTER_COLUMNS: readonly string[] = Object.keys(COLUMNS);

/** The statement that makes the table, for PostgreSQL and SQLite. */
export function createTableText(table: string): string {
  const columns = Object.entries(COLUMNS).map(([name, type]) => `  "${name}" ${type}`);
  return `CREATE TABLE ${table} (\n${columns.join(",\n")}\n);`;
}

/**
 * The row of a letter. `place` and `headers` are JSON and exact, so are `value` (base64); PostgreSQL's text can't hold the
 * character NUL, so in what is for people it is shown as U+FFFD.
 */
export function rowOf(letter: DeadLetter): readonly SqlValue[] {
  const { attempts, left, ...fields } = fieldsOf(letter);
  const { headers, value, key, time } = letter;
  const row: Readonly<Record<string, SqlValue | undefined>> = {
    ...fields,
    attempts: Number(attempts),
    left_out: left === undefined ? null : Number(left),
    key,
    time: isoTime(time),
    headers: headers === undefined ? null : JSON.stringify(headersToJson(headers)),
    value: base64Of(value),
    text: textOf(value),
  };
  return LETTER_COLUMNS.map((name) => {
    const cell = row[name] ?? null;
    return typeof cell === "string" ? cell.replaceAll("\0", "\uFFFD") : cell;
  });
}

/** The letter of a row; undefined when it is none. Columns of another type that holds the same (timestamps) are taken too. */
export function letterOfRow(row: Readonly<Record<string, unknown>>): DeadLetter | undefined {
  const fields: Record<string, string | undefined> = {};
  for (const [name, cell] of Object.entries(row)) fields[name === "left_out" ? "left" : name] = cellText(cell);
  const { headers, value } = fields;
  return letterOf(fields, value === undefined ? null : Buffer.from(value, "base64"), headersFromJson(parsed(headers)));
}

function cellText(cell: unknown): string | undefined {
  if (typeof cell === "string") return cell;
  if (typeof cell === "number" || typeof cell === "bigint") return String(cell);
  if (cell instanceof Date) return cell.toISOString();
  return typeof cell === "object" && cell !== null ? JSON.stringify(cell) : undefined;
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}
