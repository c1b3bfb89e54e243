import { DatabaseSync } from "node:sqlite";

import { Client } from "pg";

import { InfrastructureError, messageOf } from "../../errors.ts";
import { maskUrl, redact, urlPasswords } from "../../secrets.ts";
import { intervals } from "./intervals.ts";
import { rowOf } from "./row.ts";
import type { StoreContents, TaskStore } from "./store.ts";

export interface SqlStoreSettings {
  /** `postgres://…` or `sqlite:PATH`, the path absolute. */
  readonly url: string;
  readonly query: string;
  /** Milliseconds between queries. */
  readonly every: number;
}

type Row = Readonly<Record<string, unknown>>;

/** How long connecting may take, and then the query. Milliseconds. */
const PATIENCE = { connect: 5_000, query: 10_000 };

/**
 * The tasks that a query gives on PostgreSQL or SQLite: one row each, with the columns `id` and `product`, and if wanted
 * `instances`, `enabled` (in SQLite 0 or 1) and `config` (JSON, as text or in a json column); NULL is as if left out. Asked
 * every `every` milliseconds over a connection of its own, read-only, and put in the order of the ids.
 */
export class SqlStore implements TaskStore {
  readonly name: string;
  readonly #settings: SqlStoreSettings;

  constructor(settings: SqlStoreSettings) {
    this.#settings = settings;
    this.name = `sql ${maskUrl(settings.url)}`;
  }

  async read(signal: AbortSignal): Promise<StoreContents> {
    const rows = await this.#rows(signal);
    const named = rows.map((row, index) => {
      const id = typeof row["id"] === "string" ? row["id"] : undefined;
      return { row, id, label: id ?? `number ${index + 1}` };
    });
    const tasks = named
      .toSorted((a, b) => (a.label < b.label ? -1 : 1))
      .map(({ row, id, label }) => rowOf(this.name, `${this.name} row ${label}`, id, () => taskOf(row)));
    return { tasks, faults: [] };
  }

  async #rows(signal: AbortSignal): Promise<readonly Row[]> {
    const { url, query } = this.#settings;
    try {
      signal.throwIfAborted();
      return url.startsWith("sqlite:") ? askSqlite(url.slice("sqlite:".length), query) : await askPostgres(url, query, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new InfrastructureError(redact(`the query failed: ${messageOf(error)}`, urlPasswords(url)), { cause: error });
    }
  }

  changes(signal: AbortSignal): AsyncIterable<void> {
    return intervals(this.#settings.every, signal);
  }
}

function askSqlite(path: string, query: string): readonly Row[] {
  using database = new DatabaseSync(path, { readOnly: true, timeout: 1_000 });
  return database.prepare(query).all();
}

async function askPostgres(url: string, query: string, signal: AbortSignal): Promise<readonly Row[]> {
  const client = new Client({
    connectionString: url,
    application_name: "millrace tasks",
    connectionTimeoutMillis: PATIENCE.connect,
    query_timeout: PATIENCE.query,
    statement_timeout: PATIENCE.query,
  });
  // The failed call tells what there is to tell: without a listener the client's own event would end the process.
  client.on("error", () => undefined);
  const end = () => void client.end().catch(() => undefined);
  signal.addEventListener("abort", end, { once: true });
  try {
    await client.connect();
    await client.query("BEGIN READ ONLY");
    return (await client.query<Row>(query)).rows;
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

function taskOf(row: Row): unknown {
  const task: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(row)) {
    if (value !== null) task[column] = fromColumn(column, value);
  }
  return task;
}

function fromColumn(column: string, value: unknown): unknown {
  if (column === "config" && typeof value === "string") return parseJson(value);
  if (column === "enabled" && (value === 0 || value === 1)) return value === 1;
  // PostgreSQL gives a bigint as text.
  if (column === "instances" && typeof value === "string" && /^\d+$/.test(value)) return Number(value);
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The parser's message would quote the text, which may be a secret.
    throw new Error("config: the text is no JSON", { cause: error });
  }
}
