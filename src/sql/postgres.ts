import { setTimeout as sleep } from "node:timers/promises";

import { DatabaseError, Pool } from "pg";

import { InfrastructureError, messageOf, NotReadyError } from "../errors.ts";
import { redact, urlPasswords } from "../secrets.ts";
import type { Database } from "./database.ts";
import { checkText, givenValues, insertText, RowRefusedError } from "./database.ts";

/** Connections of one process to one database, shared by all sinks. */
const MOST_CONNECTIONS = 4;
/** In milliseconds. Closing waits for statements under way: of a server that hangs, no longer than this. */
const PATIENCE = { connect: 5_000, statement: 30_000, close: 1_000 };

/**
 * A pool of connections to PostgreSQL. It connects when it is first written to.
 * @param url `postgres://[user:password@]host[:port]/database`
 */
export function openPostgres(url: string): Database {
  const pool = new Pool({
    connectionString: url,
    application_name: "millrace",
    max: MOST_CONNECTIONS,
    connectionTimeoutMillis: PATIENCE.connect,
    statement_timeout: PATIENCE.statement,
    query_timeout: PATIENCE.statement + 5_000,
  });
  // A connection that breaks while it is idle: the next write makes another. Without a listener it would end the process.
  pool.on("error", () => undefined);
  const secrets = urlPasswords(url);
  let closed: Promise<void> | undefined;
  return {
    // The protocol counts parameters in 16 bits.
    maxParameters: 65_535,
    check: async (table) => {
      try {
        await pool.query(checkText(table));
      } catch (error) {
        // A table may be there to be written only.
        if (!(error instanceof DatabaseError) || error.code !== "42501") throw classified(error, table, secrets);
      }
    },
    write: async (statement) => {
      try {
        await pool.query(
          insertText(statement, (index) => `$${index}`),
          givenValues(statement),
        );
      } catch (error) {
        throw classified(error, statement.table, secrets);
      }
    },
    query: async (table, text, values) => {
      try {
        return (await pool.query<Record<string, unknown>>(text, [...values])).rows;
      } catch (error) {
        throw classified(error, table, secrets);
      }
    },
    placeholder: (index) => `$${index}`,
    [Symbol.asyncDispose]: () => {
      closed ??= Promise.race([pool.end(), sleep(PATIENCE.close, undefined, { ref: false })]);
      return closed;
    },
  };
}

/** By the class of the SQLSTATE (PostgreSQL documentation, appendix A). */
function classified(error: unknown, table: string, secrets: readonly string[]): Error {
  const message = redact(messageOf(error), secrets);
  if (!(error instanceof DatabaseError)) return new InfrastructureError(`PostgreSQL: ${message}`, { cause: error });
  const code = error.code ?? "";
  if (code === "42P01" || code === "3F000") return new NotReadyError(`the table ${table} does not exist; create it`, { cause: error });
  if (code === "42703" || code === "42P10" || code === "42501") {
    return new NotReadyError(`the table ${table} does not fit: ${message}`, { cause: error });
  }
  // 21: a key twice in one statement, equal to the database only; 22: the data can't be what the column is; 23: a constraint;
  // 42804: the type does not fit; 54000: too large for an index, among others; P0001: a trigger raises an exception; 08P01: bytes
  // that are no value of the column's type; 428C9: a column that is GENERATED ALWAYS.
  // Messages of class 22 quote the value, which must not reach a log.
  if (code.startsWith("22")) return new RowRefusedError(message.replace(/".*"/s, '"…"'));
  if (/^(21|23|54)/.test(code) || ["42804", "P0001", "08P01"].includes(code)) return new RowRefusedError(message);
  if (code === "428C9") return new RowRefusedError(`${message}: the database makes that itself, so a row must come without it`);
  // The one internal error that is the row's fault.
  if (code === "XX000" && message.startsWith("unsupported jsonb version number")) {
    return new RowRefusedError("a jsonb column can't hold bytes: decode them first");
  }
  return new InfrastructureError(`PostgreSQL: ${message}`, { cause: error });
}
