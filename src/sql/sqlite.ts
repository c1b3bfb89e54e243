import { DatabaseSync } from "node:sqlite";

import { InfrastructureError, messageOf, NotReadyError } from "../errors.ts";
import type { Database, SqlValue, Statement } from "./database.ts";
import { insertText, RowRefusedError } from "./database.ts";

/** How long a write waits for another process that holds the file, in milliseconds. */
const BUSY_TIMEOUT = 5000;

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
    write: (statement) => {
      try {
        database.prepare(insertText(statement, () => "?")).run(...statement.rows.flat().map(bindable));
        return Promise.resolve();
      } catch (error) {
        return Promise.reject(classified(error, statement));
      }
    },
    [Symbol.asyncDispose]: () => {
      if (database.isOpen) database.close();
      return Promise.resolve();
    },
  };
}

function bindable(value: SqlValue): string | number | bigint | null | Uint8Array {
  return typeof value === "boolean" ? Number(value) : value;
}

function classified(error: unknown, statement: Statement): Error {
  const message = messageOf(error);
  const code = (error as { errcode?: number }).errcode ?? 0;
  if (/no such table/.test(message)) return new NotReadyError(`the table ${statement.table} does not exist; create it`, { cause: error });
  if (/no column named|no such column|ON CONFLICT clause does not match/.test(message)) {
    return new NotReadyError(`the table ${statement.table} does not fit: ${message}`, { cause: error });
  }
  // The lower byte of an extended result code is the primary one.
  if (REFUSALS.has(code & 0xff)) return new RowRefusedError(message, { cause: error });
  return new InfrastructureError(`SQLite: ${message}`, { cause: error });
}
