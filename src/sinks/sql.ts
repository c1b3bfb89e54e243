import { resolve } from "node:path";

import { z } from "zod";

import type { Event } from "../batch.ts";
import type { Lease, OpenContext, Sink, SinkSpec } from "../contracts.ts";
import { DataError, InfrastructureError, NotReadyError } from "../errors.ts";
import { ResultIds } from "../result-ids.ts";
import { maskUrl } from "../secrets.ts";
import type { Database, Statement } from "../sql/database.ts";
import { RowRefusedError } from "../sql/database.ts";
import { SqlLetterBox } from "./letters/sql-box.ts";
import { Outage } from "./outage.ts";
import { Queue } from "./queue.ts";
import type { Column, Row } from "./sql-rows.ts";
import { columnsOf, lastOfEachKey, rowOf } from "./sql-rows.ts";
import { canParseUrl, NO_URL } from "./url-syntax.ts";

/** What a task can set on an SQL sink. */
export const sqlSinkConfig = z
  .strictObject({
    url: z
      .string()
      .regex(/^(postgres(ql)?:\/\/|sqlite:).+/, "must be postgres://… or sqlite:PATH")
      .refine((url) => url.startsWith("sqlite:") || canParseUrl(url), NO_URL)
      .describe("postgres://[user:password@]host[:port]/database, or sqlite:PATH"),
    table: z.string().min(1).describe("table or schema.table; it must exist"),
    columns: z
      .record(z.string().min(1), z.string().min(1))
      .optional()
      .describe(
        "column: field, as value.total; default the fields of the values, each in the column of its name, and what the database gives the others",
      ),
    mode: z.enum(["insert", "upsert"]).default("insert").describe("upsert: a row with the same key is replaced"),
    key: z.array(z.string().min(1)).min(1).optional().describe("for upsert: the columns of a unique key"),
    id: z
      .string()
      .min(1)
      .optional()
      .describe("for insert: a column with a unique key that takes the result's id, so that a repeat after a crash is left out"),
    batch: z.int().min(1).max(10_000).default(500).describe("rows of one statement at most"),
  })
  .refine(({ mode, key }) => (mode === "upsert") === (key !== undefined), "upsert needs key, and insert takes none")
  .refine(({ mode, id }) => mode === "insert" || id === undefined, "id is for insert; upsert replaces a repeat by its key already")
  .refine(({ id, columns }) => id === undefined || !Object.hasOwn(columns ?? {}, id), "the column of id must not be one of columns")
  .refine(
    ({ key, columns }) => columns === undefined || (key ?? []).every((name) => Object.hasOwn(columns, name)),
    "every column of key must be one of columns",
  );

/** Settings of `sqlSink`. */
export type SqlSinkSettings = z.input<typeof sqlSinkConfig>;
type Settings = z.output<typeof sqlSinkConfig>;

const STEP = "sink sql";

/**
 * Writes each event's value, an object, as a row of a table. Rows go in statements of many, each all or nothing, in order;
 * a row that the database refuses is a data error of its event, found by cutting the statement in two. A missing table is
 * waited for. After an outage, rows of `insert` may stand there twice, unless `id` names a column for the
 * result's id; `upsert` replaces them.
 * @throws {z.ZodError} when the settings are wrong
 */
export function sqlSink(settings: SqlSinkSettings): SinkSpec {
  const config = sqlSinkConfig.parse(settings);
  const { url, table, mode } = config;
  return {
    kind: "sql",
    description: { url: maskUrl(url), table, mode },
    openLetters: async (context) => {
      const box = new SqlLetterBox(await context.shared.lease(`sql ${url}`, () => openDatabase(url, context)), table, context);
      try {
        await box.check();
      } catch (error) {
        await box[Symbol.asyncDispose]();
        throw error;
      }
      return box;
    },
    open: async (context) => {
      const lease = await context.shared.lease(`sql ${url}`, () => openDatabase(url, context));
      try {
        await checkTable(lease.resource, table);
      } catch (error) {
        await lease[Symbol.asyncDispose]();
        throw error;
      }
      return new SqlSink(lease, config, context);
    },
  };
}

// Async, so that whatever opening throws is a rejection.
/** Loads only the client that is needed: a plan that names a database must cost nothing while it is only looked at. */
async function openDatabase(url: string, context: OpenContext): Promise<Database> {
  if (!url.startsWith("sqlite:")) return (await import("../sql/postgres.ts")).openPostgres(url);
  const { openSqlite } = await import("../sql/sqlite.ts");
  return openSqlite(resolve(context.directory ?? ".", url.slice("sqlite:".length)));
}

/** A missing table is told before anything is read; a database that is away is waited for when there is something to write. */
async function checkTable(database: Database, table: string): Promise<void> {
  try {
    await database.check(table);
  } catch (error) {
    if (error instanceof NotReadyError || !(error instanceof InfrastructureError)) throw error;
  }
}

class SqlSink implements Sink {
  readonly #lease: Lease<Database>;
  readonly #config: Settings;
  readonly #outage: Outage;
  readonly #queue = new Queue();
  readonly #ids: ResultIds;
  /** Those of all values so far. */
  #columns: readonly Column[] = [];
  #closed: Promise<void> | undefined;

  constructor(lease: Lease<Database>, config: Settings, context: OpenContext) {
    this.#lease = lease;
    this.#config = config;
    this.#outage = new Outage(`sql ${config.table}`, context);
    this.#ids = new ResultIds(context.task.id, context.part ?? "sink");
  }

  write(events: readonly Event[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal, () => this.#writeAll(events, signal));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#queue.idle().then(() => this.#lease[Symbol.asyncDispose]());
    return this.#closed;
  }

  async #writeAll(events: readonly Event[], signal: AbortSignal): Promise<void> {
    const { batch, columns: configured, key, id } = this.#config;
    const columns = (this.#columns = columnsOf(configured, this.#columns, events));
    const size = Math.max(
      1,
      Math.min(batch, Math.floor(this.#lease.resource.maxParameters / Math.max(1, columns.length + (id === undefined ? 0 : 1)))),
    );
    // Which columns other values have must not tell what is written for this one.
    const absent = configured === undefined && key === undefined ? undefined : null;
    let rows: Row[] = [];
    for (const event of events) {
      let row: Row;
      try {
        row = rowOf(event, columns, absent, STEP);
      } catch (error) {
        // What came before it is written, so that the task stops exactly at it.
        await this.#writeRows(rows, columns, signal);
        throw error;
      }
      rows.push(row);
      if (rows.length < size) continue;
      await this.#writeRows(rows, columns, signal);
      rows = [];
    }
    await this.#writeRows(rows, columns, signal);
  }

  async #writeRows(rows: readonly Row[], columns: readonly Column[], signal: AbortSignal): Promise<void> {
    if (rows.length === 0) return;
    const statement = this.#statement(rows, columns);
    try {
      await this.#outage.waitOut(signal, () => this.#lease.resource.write(statement));
    } catch (error) {
      if (!(error instanceof RowRefusedError)) throw error;
      if (rows.length === 1) throw new DataError(STEP, rows[0]?.event, error);
      const middle = Math.ceil(rows.length / 2);
      await this.#writeRows(rows.slice(0, middle), columns, signal);
      await this.#writeRows(rows.slice(middle), columns, signal);
    }
  }

  #statement(rows: readonly Row[], columns: readonly Column[]): Statement {
    const { table, key, id } = this.#config;
    const names = columns.map(({ name }) => name);
    if (id !== undefined) {
      const values = rows.map((row) => [...row.values, this.#ids.of(row.event)]);
      return { table, columns: [...names, id], rows: values, key: [id], repeats: "left out" };
    }
    const kept = key === undefined ? rows : lastOfEachKey(rows, columns, key);
    return { table, columns: names, rows: kept.map((row) => row.values), key, repeats: "replaced" };
  }
}
