import type { Event } from "../batch.ts";
import { DataError } from "../errors.ts";
import type { SqlValue } from "../sql/database.ts";

/** What an event gives for one column: its name in the table, and the path of the field in the value (`value.total`). */
export interface Column {
  readonly name: string;
  readonly path: readonly string[];
}

/** A row and the event that it is of. */
export interface Row {
  readonly event: Event;
  readonly values: readonly SqlValue[];
}

/** @param columns column → field, as a dotted path; undefined: the fields of the first value, by their own names */
export function columnsOf(columns: Readonly<Record<string, string>> | undefined, first: unknown): readonly Column[] {
  const fields =
    columns ?? Object.fromEntries(Object.keys(typeof first === "object" && first !== null ? first : {}).map((name) => [name, name]));
  return Object.entries(fields).map(([name, path]) => ({ name, path: columns === undefined ? [path] : path.split(".") }));
}

/** @throws DataError when a value is no object or has something that no column can hold */
export function rowOf(event: Event, columns: readonly Column[], step: string): Row {
  try {
    return { event, values: columns.map((column) => sqlValue(fieldOf(event.value, column.path), column)) };
  } catch (error) {
    throw new DataError(step, event, error);
  }
}

/** One row for each key, the last one: a statement can't replace the same row twice. Keeps the order of the last ones. */
export function lastOfEachKey(rows: readonly Row[], columns: readonly Column[], key: readonly string[]): readonly Row[] {
  const indices = key.map((name) => columns.findIndex((column) => column.name === name));
  const last = new Map<string, Row>();
  for (const row of rows) {
    const id = JSON.stringify(indices.map((index) => String(row.values[index])));
    last.delete(id);
    last.set(id, row);
  }
  return [...last.values()];
}

function fieldOf(value: unknown, path: readonly string[]): unknown {
  let field = value;
  if (typeof value !== "object" || value === null) throw new TypeError("a row must come from an object");
  for (const name of path)
    field = typeof field === "object" && field !== null && Object.hasOwn(field, name) ? (field as Record<string, unknown>)[name] : null;
  return field;
}

function sqlValue(value: unknown, column: Column): SqlValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    case "undefined":
      return null;
    case "object":
      if (value === null || value instanceof Uint8Array) return value;
      return value instanceof Date ? value.toISOString() : JSON.stringify(value);
    default:
      throw new TypeError(`column "${column.name}" can't hold a ${typeof value}`);
  }
}
