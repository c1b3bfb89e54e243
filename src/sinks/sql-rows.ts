import type { Event } from "../batch.ts";
import { DataError } from "../errors.ts";
import type { SqlValue } from "../sql/database.ts";
import { encode } from "../values.ts";

/** What an event gives for one column: its name in the table, and the path of the field in the value (`value.total`). */
export interface Column {
  readonly name: string;
  readonly path: readonly string[];
}

/** A row and the event that it is of. */
export interface Row {
  readonly event: Event;
  readonly values: readonly (SqlValue | undefined)[];
}

/**
 * @param configured column → field, as a dotted path; undefined: every field of every value, by its own name
 * @param known the columns so far, which stay in their place
 */
export function columnsOf(
  configured: Readonly<Record<string, string>> | undefined,
  known: readonly Column[],
  events: readonly Event[],
): readonly Column[] {
  if (configured !== undefined) return Object.entries(configured).map(([name, path]) => ({ name, path: path.split(".") }));
  const names = new Set(known.map(({ name }) => name));
  const before = names.size;
  for (const { value } of events) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) continue;
    for (const name of Object.keys(value)) names.add(name);
  }
  return names.size === before ? known : [...names].map((name) => ({ name, path: [name] }));
}

/**
 * @param absent what a column gets for which the value has no field; undefined: what the database gives it
 * @throws DataError when a value is no object or has something that no column can hold
 */
export function rowOf(event: Event, columns: readonly Column[], absent: null | undefined, step: string): Row {
  try {
    checkObject(event.value);
    const values = columns.map((column) => {
      const field = fieldOf(event.value, column.path);
      return field === undefined ? absent : sqlValue(field, column);
    });
    if (values.every((value) => value === undefined)) throw new TypeError("a row must have a field");
    return { event, values };
  } catch (error) {
    throw new DataError(step, event, error);
  }
}

/**
 * One row for each key, the last one: a statement can't replace the same row twice. Keeps the order of the last ones. Rows
 * with a null in their key are all kept: to a database they are never the same.
 */
export function lastOfEachKey(rows: readonly Row[], columns: readonly Column[], key: readonly string[]): readonly Row[] {
  const indices = key.map((name) => columns.findIndex((column) => column.name === name));
  const last = new Map<unknown, Row>();
  for (const row of rows) {
    const parts = indices.map((index) => row.values[index]);
    const id = parts.some((part) => part === null || part === undefined) ? row : JSON.stringify(parts.map(String));
    last.delete(id);
    last.set(id, row);
  }
  return [...last.values()];
}

function checkObject(value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw new TypeError("a row must come from an object");
  }
}

function fieldOf(value: unknown, path: readonly string[]): unknown {
  let field = value;
  for (const name of path)
    field =
      typeof field === "object" && field !== null && Object.hasOwn(field, name) ? (field as Record<string, unknown>)[name] : undefined;
  return field;
}

function sqlValue(value: unknown, column: Column): SqlValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    case "object":
      if (value === null || value instanceof Uint8Array) return value;
      return value instanceof Date ? value.toISOString() : encode.json(value);
    default:
      throw new TypeError(`column "${column.name}" can't hold a ${typeof value}`);
  }
}
