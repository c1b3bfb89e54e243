import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it, test, type TestContext } from "node:test";

import { Client } from "pg";

import type { Event } from "../../src/batch.ts";
import { DataError, NotReadyError, PlannedStop } from "../../src/errors.ts";
import { sqlSink, sqlSinkConfig, type SqlSinkSettings } from "../../src/sinks/sql.ts";
import { eventOf, openContext } from "../support/open-context.ts";
import { postgres } from "../support/services/index.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;
const address = await postgres();
const client = new Client({ connectionString: address });
await client.connect();
after(() => client.end());

let names = 0;

interface Place {
  readonly url: string;
  readonly table: string;
  /** Runs statements in which TABLE stands for the table. */
  readonly run: (text: string) => Promise<Record<string, unknown>[]>;
}

type Kind = "PostgreSQL" | "SQLite";

async function place(t: TestContext, kind: Kind, columns: string): Promise<Place> {
  const table = `sql_sink_${process.pid}_${Date.now()}_${names++}`;
  if (kind === "PostgreSQL") {
    const run = async (text: string) => (await client.query<Record<string, unknown>>(text.replaceAll("TABLE_NAME", table))).rows;
    await run(`CREATE TABLE TABLE_NAME (${columns})`);
    t.after(() => run("DROP TABLE IF EXISTS TABLE_NAME"));
    return { url: address, table, run };
  }
  const path = join(tempFolder(t), "out.sqlite");
  const db = new DatabaseSync(path);
  t.after(() => db.close());
  const run = async (text: string) =>
    db
      .prepare(text.replaceAll("TABLE_NAME", table))
      .all()
      .map((row) => ({ ...row }));
  await run(`CREATE TABLE TABLE_NAME (${columns})`);
  return { url: `sqlite:${path}`, table, run };
}

/** Writes batches of values; gives the error that ended it. */
async function write(t: TestContext, settings: SqlSinkSettings, ...batches: readonly (readonly unknown[])[]): Promise<unknown> {
  await using sink = await sqlSink(settings).open(openContext(t));
  let offset = 0;
  try {
    for (const values of batches)
      await sink.write(
        values.map((value): Event => eventOf(value, offset++)),
        never,
      );
    return undefined;
  } catch (error) {
    return error;
  }
}

for (const kind of ["PostgreSQL", "SQLite"] as const) {
  describe(`rows in ${kind}`, () => {
    it("with an id are there once, however often they are written", async (t) => {
      const { url, table, run } = await place(t, kind, "n integer, result text PRIMARY KEY");
      const values = [{ n: 1 }, { n: 1 }, { n: 2 }];
      for (const _ of [1, 2]) assert.equal(await write(t, { url, table, id: "result" }, values), undefined);
      assert.equal(await write(t, { url, table, id: "result" }, values, [{ n: 3 }]), undefined);
      assert.deepEqual(await run("SELECT n FROM TABLE_NAME ORDER BY n"), [{ n: 1 }, { n: 1 }, { n: 2 }, { n: 3 }]);
    });

    it("have the fields of the values in the columns of their names, and null for what a value lacks", async (t) => {
      const { url, table, run } = await place(t, kind, 'a integer, "b c" text, d text, e text, f double precision');
      const batches = [
        [
          { a: 1, "b c": "x" },
          { a: 2, d: { deep: [1, true] } },
        ],
        [{ e: new Date(0), f: 1.5 }, { a: null }],
      ];
      assert.equal(await write(t, { url, table }, ...batches), undefined);
      assert.deepEqual(await run("SELECT * FROM TABLE_NAME"), [
        { a: 1, "b c": "x", d: null, e: null, f: null },
        { a: 2, "b c": null, d: '{"deep":[1,true]}', e: null, f: null },
        { a: null, "b c": null, d: null, e: "1970-01-01T00:00:00.000Z", f: 1.5 },
        { a: null, "b c": null, d: null, e: null, f: null },
      ]);
    });

    it("have the default of a column that their value lacks, whatever the others of the batch have", async (t) => {
      const { url, table, run } = await place(t, kind, "id integer, state text DEFAULT 'new', n integer CHECK (n < 9) DEFAULT 7");
      const values = [{ id: 1 }, { id: 2, state: "old" }, { id: 3, state: null, n: 1 }, { id: 4, state: undefined }, { id: 5, n: 2 }];
      const rows = [
        { id: 1, state: "new", n: 7 },
        { id: 2, state: "old", n: 7 },
        { id: 3, state: null, n: 1 },
        { id: 4, state: "new", n: 7 },
        { id: 5, state: "new", n: 2 },
      ];
      for (const batches of [[values], values.map((value) => [value])]) {
        await run("DELETE FROM TABLE_NAME");
        assert.equal(await write(t, { url, table }, ...batches), undefined);
        assert.deepEqual(await run("SELECT * FROM TABLE_NAME ORDER BY id"), rows);
      }
      await run("DELETE FROM TABLE_NAME");
      const error = await write(t, { url, table }, [...values, { id: 6, n: 9 }, { id: 7 }]);
      assert.match(String(error), /memory test@5: .*check/i);
      assert.deepEqual(await run("SELECT * FROM TABLE_NAME ORDER BY id"), rows);
    });

    it("have the fields that columns choose, by path; names can't break out of their quotes", async (t) => {
      const { url, table, run } = await place(t, kind, 'total integer, "x"") VALUES (1); --" text');
      const columns = { total: "value.sum", 'x") VALUES (1); --': "key" };
      const values = [{ key: "a'); DROP TABLE x; --", value: { sum: 5 }, other: 1 }, { key: "b" }];
      assert.equal(await write(t, { url, table, columns }, values), undefined);
      assert.deepEqual(await run("SELECT total FROM TABLE_NAME"), [{ total: 5 }, { total: null }]);
      const [first] = await run("SELECT * FROM TABLE_NAME");
      assert.deepEqual(Object.values(first ?? {}), [5, "a'); DROP TABLE x; --"]);
    });

    it("are written in statements within the limits of the database", async (t) => {
      const names = Array.from({ length: 30 }, (_, n) => `c${n}`);
      const { url, table, run } = await place(t, kind, names.map((name) => `${name} integer`).join());
      const values = Array.from({ length: 5000 }, (_, n) => Object.fromEntries(names.map((name) => [name, n])));
      assert.equal(await write(t, { url, table, batch: 10_000 }, values), undefined);
      assert.deepEqual(await run("SELECT CAST(count(*) AS integer) AS n, CAST(sum(c29) AS integer) AS s FROM TABLE_NAME"), [
        { n: 5000, s: (4999 * 5000) / 2 },
      ]);
    });

    it("replace those of their key with upsert, the last one of a batch as well", async (t) => {
      const { url, table, run } = await place(t, kind, "k text, n integer, v text, PRIMARY KEY (k, n)");
      const settings: SqlSinkSettings = { url, table, mode: "upsert", key: ["k", "n"] };
      const row = (k: string, n: number, v: string) => ({ k, n, v });
      const error = await write(t, settings, [row("a", 1, "1"), row("b", 1, "2"), row("a", 1, "3")], [row("b", 1, "4"), row("b", 2, "5")]);
      assert.equal(error, undefined);
      assert.deepEqual(await run("SELECT * FROM TABLE_NAME ORDER BY k, n"), [row("a", 1, "3"), row("b", 1, "4"), row("b", 2, "5")]);
    });

    it("stay one each where the key is only a key, and all where it has a null", async (t) => {
      const { url, table, run } = await place(t, kind, "k text UNIQUE");
      const error = await write(t, { url, table, mode: "upsert", key: ["k"] }, [
        { k: "a" },
        { k: "a" },
        { k: null },
        { k: null },
        { k: "null" },
      ]);
      assert.equal(error, undefined);
      assert.equal((await run("SELECT * FROM TABLE_NAME")).length, 4);
    });

    it("that the database refuses are a data error of their event, behind all rows before", async (t) => {
      const { url, table, run } = await place(t, kind, "id integer PRIMARY KEY, n integer CHECK (n < 100)");
      const good = Array.from({ length: 50 }, (_, id) => ({ id, n: id }));
      const wrong: readonly (readonly [unknown, RegExp])[] = [
        [{ id: 10, n: 1 }, /unique/i],
        [{ id: 100, n: 4_711_000 }, /check/i],
        ["hidden", /a row must come from an object/],
        [{ id: 100, n: () => "hidden" }, /column "n" can't hold a function/],
        [{ id: 100, n: 2n ** 70n }, /range|too large/],
      ];
      for (const [value, what] of wrong) {
        await run("DELETE FROM TABLE_NAME");
        const error = await write(t, { url, table }, [...good, value, { id: 500, n: 1 }]);
        assert.ok(error instanceof DataError, String(error));
        assert.equal(error.place?.offset, 50);
        assert.match(error.message, what);
        assert.doesNotMatch(error.message, /hidden|4711000|4_711/);
        assert.equal((await run("SELECT * FROM TABLE_NAME WHERE id < 50")).length, 50);
        assert.equal((await run("SELECT * FROM TABLE_NAME WHERE id = 500")).length, 0);
      }
    });

    it("that have no fields at all are a data error, also before any other came", async (t) => {
      const { url, table } = await place(t, kind, "a integer");
      for (const [value, what] of [
        [Buffer.from('{"hidden":1}'), /at memory test@0: a row must come from an object$/],
        [{}, /at memory test@0: a row must have a field$/],
      ] as const) {
        const error = await write(t, { url, table }, [value, { a: 1 }]);
        assert.ok(error instanceof DataError, String(error));
        assert.match(error.message, what);
      }
    });

    it("need a table, which is named when it is missing", async (t) => {
      const { url } = await place(t, kind, "a integer");
      await assert.rejects(sqlSink({ url, table: "no_such_table" }).open(openContext(t)), (error: Error) => {
        assert.ok(error instanceof NotReadyError);
        return /^the table no_such_table does not exist; create it$/.test(error.message);
      });
    });

    it("wait for a column that the table lacks, naming it, until it is there", async (t) => {
      const { url, table, run } = await place(t, kind, "a integer");
      const context = openContext(t);
      await using sink = await sqlSink({ url, table }).open(context);
      const writing = sink.write([eventOf({ a: 1, extra: "x" }, 0)], never);
      await until("the reason is told", () => context.reasons.length > 0);
      assert.match(String(context.reasons[0]), /the table .* does not fit: .*extra/);
      await run("ALTER TABLE TABLE_NAME ADD COLUMN extra text");
      await writing;
      assert.equal(context.reasons.at(-1), undefined);
      assert.deepEqual(await run("SELECT * FROM TABLE_NAME"), [{ a: 1, extra: "x" }]);
    });
  });
}

test("a value of the wrong type for PostgreSQL is a data error without the value", async (t) => {
  const { url, table } = await place(t, "PostgreSQL", "n integer");
  for (const value of ["hidden", 'a "hidden"\n"part"']) {
    const error = await write(t, { url, table }, [{ n: 1 }, { n: value }]);
    assert.ok(error instanceof DataError);
    assert.equal(error.message, 'step "sink sql" at memory test@1: invalid input syntax for type integer: "…"');
  }
});

test("a value that no column can hold is a data error without the value", async (t) => {
  const { url, table } = await place(t, "SQLite", "n text");
  const circle: Record<string, unknown> = {};
  circle["hidden"] = circle;
  const error = await write(t, { url, table }, [{ n: 1 }, { n: circle }]);
  assert.ok(error instanceof DataError);
  assert.match(error.message, /^step "sink sql" at memory test@1: the value can't be written as JSON: it refers to itself/);
});

test("what a trigger of PostgreSQL refuses, or is no value of its column, is a data error", async (t) => {
  const { url, table, run } = await place(t, "PostgreSQL", "n bigint");
  const body = "BEGIN IF NEW.n = 7 THEN RAISE EXCEPTION 'no 7'; END IF; RETURN NEW; END";
  await run(`CREATE FUNCTION TABLE_NAME_refuse() RETURNS trigger AS '${body.replaceAll("'", "''")}' LANGUAGE plpgsql`);
  t.after(() => run("DROP FUNCTION TABLE_NAME_refuse CASCADE"));
  await run("CREATE TRIGGER refuse BEFORE INSERT ON TABLE_NAME FOR EACH ROW EXECUTE FUNCTION TABLE_NAME_refuse()");
  for (const [value, what] of [
    [7, /@1: no 7$/],
    [Uint8Array.of(1), /@1: insufficient data left in message$/],
  ] as const) {
    const error = await write(t, { url, table }, [{ n: 1 }, { n: value }, { n: 2 }]);
    assert.ok(error instanceof DataError, String(error));
    assert.match(error.message, what);
  }
  assert.deepEqual(await run("SELECT CAST(n AS integer) AS n FROM TABLE_NAME"), [{ n: 1 }, { n: 1 }]);
});

test("what PostgreSQL makes itself, and bytes for its jsonb, are a data error that says so", async (t) => {
  const { url, table, run } = await place(t, "PostgreSQL", "n integer, twice integer GENERATED ALWAYS AS (2 * n) STORED, j jsonb");
  const columns = { n: "n", j: "j" };
  for (const [settings, value, what] of [
    [{ columns: { ...columns, twice: "twice" } }, { n: 1, twice: 2 }, /@0: .* column "twice": the database makes that itself, so a row/],
    [{ columns }, { n: 1, j: Buffer.from('{"hidden":1}') }, /@0: a jsonb column can't hold bytes: decode them first$/],
  ] as const) {
    const error = await write(t, { url, table, ...settings }, [value]);
    assert.ok(error instanceof DataError, String(error));
    assert.match(error.message, what);
  }
  assert.equal(await write(t, { url, table, columns }, [{ n: 1, j: { a: 1 } }]), undefined);
  assert.deepEqual(await run("SELECT * FROM TABLE_NAME"), [{ n: 1, twice: 2, j: { a: 1 } }]);
});

test("a table of another schema", async (t) => {
  const { url, table, run } = await place(t, "PostgreSQL", "n integer");
  assert.equal(await write(t, { url, table: `public.${table}` }, [{ n: 1 }]), undefined);
  assert.deepEqual(await run("SELECT n FROM TABLE_NAME"), [{ n: 1 }]);
});

test("keys that only the database takes for equal are written one after the other", async (t) => {
  const { url, table, run } = await place(t, "PostgreSQL", "k numeric PRIMARY KEY, v integer");
  const error = await write(t, { url, table, mode: "upsert", key: ["k"] }, [
    { k: "1", v: 1 },
    { k: "1.0", v: 2 },
    { k: "2", v: 3 },
  ]);
  assert.equal(error, undefined);
  assert.deepEqual(await run("SELECT CAST(k AS integer) AS k, v FROM TABLE_NAME ORDER BY k"), [
    { k: 1, v: 2 },
    { k: 2, v: 3 },
  ]);
});

test("a SQLite file that another process holds is waited for, and given up at once when asked", async (t) => {
  const { url, table, run } = await place(t, "SQLite", "n integer");
  const context = openContext(t);
  await using sink = await sqlSink({ url, table }).open(context);
  await run("BEGIN IMMEDIATE");
  const stop = new AbortController();
  const given = sink.write([eventOf({ n: 1 }, 0)], stop.signal);
  const kept = sink.write([eventOf({ n: 2 }, 0, { name: "other" })], never);
  await until("the reason is told", () => context.reasons.length > 0);
  assert.match(String(context.reasons[0]), /database is locked/);
  const reason = new PlannedStop("test");
  stop.abort(reason);
  await assert.rejects(given, (error) => error === reason);
  await run("COMMIT");
  await kept;
  assert.deepEqual(await run("SELECT n FROM TABLE_NAME"), [{ n: 2 }]);
});

test("a database that is away is told without its password", async (t) => {
  const context = openContext(t);
  const url = "postgres://user:hidden@127.0.0.1:1/db";
  const spec = sqlSink({ url, table: "x" });
  assert.equal(spec.description["url"], "postgres://user:[secret]@127.0.0.1:1/db");
  await using sink = await spec.open(context);
  const stop = new AbortController();
  const writing = sink.write([eventOf({ n: 1 }, 0)], stop.signal);
  await until("the reason is told", () => context.reasons.length > 0);
  stop.abort(new PlannedStop("test"));
  await assert.rejects(writing, PlannedStop);
  assert.match(String(context.reasons[0]), /ECONNREFUSED/);
  assert.doesNotMatch(JSON.stringify([context.reasons, context.lines]), /hidden/);
});

test("settings that can't be are refused", () => {
  const url = "sqlite:x";
  const wrong = [
    { url: "mysql://x", table: "t" },
    { url, table: "" },
    { url, table: "t", mode: "upsert" },
    { url, table: "t", key: ["a"] },
    { url, table: "t", mode: "upsert", key: ["b"], columns: { a: "a" } },
    { url, table: "t", colums: {} },
  ];
  for (const settings of wrong) assert.equal(sqlSinkConfig.safeParse(settings).success, false, JSON.stringify(settings));
});
