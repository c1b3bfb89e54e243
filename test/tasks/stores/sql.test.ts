import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { TestContext } from "node:test";

import { Client } from "pg";

import { SqlStore } from "../../../src/tasks/stores/sql.ts";
import { taskStoreSuite } from "../../conformance/task-store.ts";
import { openGate } from "../../support/gate.ts";
import { sharedServices } from "../../support/services/index.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const services = await sharedServices(["postgres"]);
const url = services.addresses.get("postgres") ?? "";
const client = new Client(url);
await client.connect();
after(async () => {
  await client.end();
  await services[Symbol.asyncDispose]();
});

/** A table of the test's own. */
async function ownTable(t: TestContext, configType: "json" | "text"): Promise<string> {
  const table = `millrace_test_tasks_${randomUUID().replaceAll("-", "")}`;
  await client.query(`CREATE TABLE ${table} (id text, product text, instances bigint, enabled boolean, config ${configType})`);
  t.after(() => client.query(`DROP TABLE ${table}`));
  return table;
}

taskStoreSuite("PostgreSQL", async (t) => {
  const table = await ownTable(t, "text");
  const direct = new URL(url);
  const gate = await openGate(t, direct.hostname, Number(direct.port));
  const gated = new URL(url);
  gated.host = `127.0.0.1:${gate.port}`;
  const insert = async (id: string, product: string, instances: number | null, enabled: boolean | null, config: string | null) => {
    await client.query(`DELETE FROM ${table} WHERE id = $1`, [id]);
    await client.query(`INSERT INTO ${table} VALUES ($1, $2, $3, $4, $5)`, [id, product, instances, enabled, config]);
  };
  return {
    store: new SqlStore({ url: gated.href, query: `SELECT * FROM ${table}`, every: 50 }),
    put: (id, task) => insert(id, task.product, task.instances ?? null, task.enabled ?? null, jsonOrNull(task.config)),
    remove: async (id) => void (await client.query(`DELETE FROM ${table} WHERE id = $1`, [id])),
    putBroken: (id) => insert(id, "p", null, null, "{ id: b"),
    away: () => gate.shut(),
    back: () => gate.open(),
  };
});

taskStoreSuite("SQLite", async (t) => {
  const path = join(tempFolder(t), "tasks.db");
  const database = new DatabaseSync(path);
  t.after(() => database.close());
  database.exec("CREATE TABLE tasks (id TEXT PRIMARY KEY, product TEXT, instances INTEGER, enabled INTEGER, config TEXT)");
  const insert = database.prepare("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?)");
  return {
    store: new SqlStore({ url: `sqlite:${path}`, query: "SELECT * FROM tasks", every: 50 }),
    put: async (id, task) => {
      const enabled = task.enabled === undefined ? null : Number(task.enabled);
      insert.run(id, task.product, task.instances ?? null, enabled, jsonOrNull(task.config));
    },
    remove: async (id) => void database.prepare("DELETE FROM tasks WHERE id = ?").run(id),
    putBroken: async (id) => void insert.run(id, "p", null, null, "{ id: b"),
    away: async () => renameSync(path, `${path}-away`),
    back: async () => renameSync(`${path}-away`, path),
  };
});

function jsonOrNull(config: object | undefined): string | null {
  return config === undefined ? null : JSON.stringify(config);
}

test("a json column gives the config", async (t) => {
  const table = await ownTable(t, "json");
  await client.query(`INSERT INTO ${table} VALUES ('a', 'p', 2, true, '{"n": [1]}')`);
  const { tasks } = await new SqlStore({ url, query: `SELECT * FROM ${table}`, every: 50 }).read(t.signal);
  assert.deepEqual(
    tasks.map((task) => task.value),
    [{ id: "a", product: "p", instances: 2, enabled: true, config: { n: [1] } }],
  );
});

test("the query can't write", async (t) => {
  const table = await ownTable(t, "json");
  const store = new SqlStore({ url, query: `DELETE FROM ${table} RETURNING *`, every: 50 });
  await assert.rejects(store.read(t.signal), /the query failed: cannot execute DELETE in a read-only transaction/);
});

test("what the database says against the query is told without the password", async (t) => {
  const withPassword = new URL(url);
  withPassword.password = "hunter22";
  const store = new SqlStore({ url: withPassword.href, query: "SELECT * FROM no_such_table_of_hunter22", every: 50 });
  await assert.rejects(store.read(t.signal), /the query failed: relation "no_such_table_of_\[secret\]" does not exist/);
  assert.doesNotMatch(store.name, /hunter22/);
});

test("a row without an id has a place all the same", async (t) => {
  const store = new SqlStore({ url, query: "SELECT NULL AS id, 'p' AS product", every: 50 });
  assert.match((await store.read(t.signal)).tasks[0]?.where ?? "", / row number 1$/);
});

test("a host that does not resolve is named", async (t) => {
  const store = new SqlStore({ url: "postgres://me@no-such-host.invalid/db", query: "SELECT 1", every: 50 });
  await assert.rejects(store.read(t.signal), /the query failed: .*no-such-host\.invalid/);
});
