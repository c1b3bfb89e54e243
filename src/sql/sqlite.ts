import { DatabaseSync } from "node:sqlite";

import { InfrastructureError, messageOf, NotReadyError } from "../errors.ts";
import type { Database, SqlValue, Statement } from "./database.ts";
import { checkText, givenValues, insertText, RowRefusedError } from "./database.ts";

/** How long a write waits for another process that holds the file, in milliseconds: the whole worker waits with it. */
const BUSY_TIMEOUT = 200;

/** The primary result codes of SQLite that are the row's fault: constraint, mismatch, too big (sqlite.org/rescode.html). */
const REFUSALS = new Set([18, 19, 20]);

/**
 * Opens a SQLite file, making it if it is missing.
 * @throws {InfrastructureError} when it can't be opened
 */
export function openSqlite(path: string): Database {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT });
    database.exec("PRAGMA journal_mode = WAL");
  } catch (error) {
    throw new InfrastructureError(`the SQLite file ${path} can't be opened: ${messageOf(error)}`, { cause: error });
  }
  return {
    maxParameters: 32_766,
    check: async (table) => {
      try {
        database.prepare(checkText(table)).all();
      } catch (error) {
        throw classified(error, table);
      }
    },
    write: async (statement) => {
      try {
        writeAll(database, partsOf(statement));
      } catch (error) {
        throw classified(error, statement.table);
      }
    },
    query: async (table, text, values) => {
      try {
        return database.prepare(text).all(...values.map(bindable));
      } catch (error) {
        throw classified(error, table);
      }
    },
    placeholder: (index) => `?${index}`,
    [Symbol.asyncDispose]: () => {
      if (database.isOpen) database.close();
      return Promise.resolve();
    },
  };
}

/** SQLite has no DEFAULT among values: rows that have the same columns go together, in their order. */
function partsOf(statement: Statement): readonly Statement[] {
  const parts: { shape: string; columns: readonly string[]; rows: SqlValue[][] }[] = [];
  for (const row of statement.rows) {
    const shape = row.map((value) => (value === undefined ? "-" : "x")).join("");
    const given = row.filter((value) => value !== undefined);
    const last = parts.at(-1);
    if (last?.shape === shape) last.rows.push(given);
    else parts.push({ shape, columns: statement.columns.filter((_, index) => row[index] !== undefined), rows: [given] });
  }
  return parts.map(({ columns, rows }) => ({ ...statement, columns, rows }));
}

function writeAll(database: DatabaseSync, parts: readonly Statement[]): void {
  if (parts.length > 1) database.exec("BEGIN");
  try {
    for (const part of parts) database.prepare(insertText(part, () => "?")).run(...givenValues(part).map(bindable));
    if (parts.length > 1) database.exec("COMMIT");
  } finally {
    // A commit that waits for another process in vain leaves it open as well.
    if (database.isTransaction) database.exec("ROLLBACK");
  }
}

function bindable(value: SqlValue): string | number | bigint | null | Uint8Array {
  return typeof value === "boolean" ? Number(value) : value;
}

function classified(error: unknown, table: string): Error {
  const message = messageOf(error);
  const { code: kind, errcode: code = 0 } = error as { code?: string; errcode?: number };
  // Not SQLite but Node refuses to bind a value: a number too large, a kind that it does not know.
  if (kind === "ERR_INVALID_ARG_VALUE" || kind === "ERR_INVALID_ARG_TYPE" || kind === "ERR_OUT_OF_RANGE") {
    return new RowRefusedError("a value is too large for any column, or of a kind that no column can hold");
  }
  if (/no such table/.test(message)) return new NotReadyError(`the table ${table} does not exist; create it`, { cause: error });
  if (/no column named|no such column|ON CONFLICT clause does not match/.test(message)) {
    return new NotReadyError(`the table ${table} does not fit: ${message}`, { cause: error });
  }
  // The lower byte of an extended result code is the primary one.
  if (REFUSALS.has(code & 0xff)) return new RowRefusedError(message);
  return new InfrastructureError(`SQLite: ${message}`, { cause: error });
}
