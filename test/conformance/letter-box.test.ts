/** What every place for dead letters promises. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it, type TestContext } from "node:test";

import { Client } from "pg";

import type { DeadLetter, LetterBox, SinkSpec } from "../../src/contracts.ts";
import { PlannedStop } from "../../src/errors.ts";
import { fileSink } from "../../src/sinks/file.ts";
import { createTableText } from "../../src/sinks/letters/sql-table.ts";
import { sqlSink } from "../../src/sinks/sql.ts";
import { comparable, letterOf } from "../support/letters.ts";
import { openContext } from "../support/open-context.ts";
import { postgres } from "../support/services/index.ts";
import { tempFolder } from "../support/temp-folder.ts";

interface Harness {
  readonly name: string;
  /** A new place, without letters. */
  readonly make: (t: TestContext) => Promise<SinkSpec> | SinkSpec;
}

const address = await postgres();
const database = new Client({ connectionString: address });
await database.connect();
after(() => database.end());

let names = 0;
const uniqueName = () => `letters_${process.pid}_${Date.now()}_${names++}`;

const HARNESSES: readonly Harness[] = [
  { name: "file", make: (t) => fileSink({ path: join(tempFolder(t), "letters.ndjson") }) },
  {
    name: "SQLite",
    make: (t) => {
      const path = join(tempFolder(t), "letters.sqlite");
      const db = new DatabaseSync(path);
      t.after(() => db.close());
      db.exec(createTableText("letters"));
      return sqlSink({ url: `sqlite:${path}`, table: "letters" });
    },
  },
  {
    name: "PostgreSQL",
    make: async (t) => {
      const table = uniqueName();
      await database.query(createTableText(table));
      t.after(() => database.query(`DROP TABLE ${table}`));
      return sqlSink({ url: address, table });
    },
  },
];

const never = new AbortController().signal;

async function open(t: TestContext, spec: SinkSpec): Promise<LetterBox> {
  const box = await spec.openLetters?.(openContext(t));
  assert.ok(box !== undefined, `${spec.kind} can keep dead letters`);
  t.after(() => box[Symbol.asyncDispose]());
  return box;
}

const read = (box: LetterBox, task = "test") => Array.fromAsync(box.read(task, never));
const idsIn = async (box: LetterBox, task = "test") => (await read(box, task)).map(({ id }) => id).sort();
const lettersOf = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => letterOf(from + index));

const ODD: readonly Partial<DeadLetter>[] = [
  { value: Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)) },
  { value: null },
  { value: Buffer.alloc(0) },
  { value: Buffer.from("\0 ключ 🦉 \uFFFD\r\n\u2028") },
  { key: undefined, headers: undefined, stack: undefined },
  { key: "" },
  { key: " ключ\n🦉 100%\0" },
  {
    headers: [
      ["a", "1"],
      ["b", "2"],
      ["a", "3"],
      ["empty", ""],
    ],
  },
  {
    headers: [
      ["bytes", Buffer.from([0xff, 0, 0x0a, 0xfe])],
      ["ключ ключа", " \r\nedges "],
      ["plain", "100%"],
      ["plain", "x"],
    ],
  },
  {
    headers: [
      ["millrace-id", "of the record"],
      ["Millrace-Task", "another"],
      ["millrace-original-a", "b"],
      ["millrace-resolved", "x"],
      ["Nats-Msg-Id", "7"],
    ],
  },
  { holds: "derived", time: Number.NaN, step: "ключ\n%", message: "first\nsecond 100%", error: "Ошибка" },
  { origin: { system: "file", name: "a b/ключ.ndjson", partition: undefined, edition: "2026" }, offset: 0, attempts: 12 },
  { lastFailure: Date.UTC(2026, 5, 1), time: -1.5, origin: { system: "jetstream", name: "S", partition: undefined } },
];

for (const { name, make } of HARNESSES) {
  describe(`letter box: ${name}`, () => {
    it("gives letters back exactly, also when it is opened anew", async (t) => {
      const spec = await make(t);
      const letters = ODD.map((odd, index) => letterOf(index, odd));
      const writing = await open(t, spec);
      await writing.write(letters, never);
      await writing[Symbol.asyncDispose]();
      const box = await open(t, spec);
      const back = await read(box);
      const byId = new Map(back.map((letter) => [letter.id, letter]));
      assert.equal(back.length, letters.length);
      for (const letter of letters) assert.deepEqual(comparable(byId.get(letter.id) as DeadLetter), comparable(letter));
    });

    it("has a thousand letters when its writes have settled", async (t) => {
      const box = await open(t, await make(t));
      await Promise.all([box.write(lettersOf(0, 400), never), box.write(lettersOf(400, 1000), never), box.write([], never)]);
      assert.deepEqual(
        await idsIn(box),
        lettersOf(0, 1000)
          .map(({ id }) => id)
          .sort(),
      );
    });

    it("gives the last one of those with the same id, once", async (t) => {
      const box = await open(t, await make(t));
      await box.write([letterOf(1), letterOf(2), letterOf(1, { attempts: 2, lastFailure: Date.UTC(2026, 1, 1) })], never);
      await box.write([letterOf(2, { attempts: 3, lastFailure: Date.UTC(2026, 1, 2), step: "other" })], never);
      const back = await read(box);
      assert.deepEqual(back.map(({ id, attempts }) => [id, attempts]).sort(), [
        ["test:1", 2],
        ["test:2", 3],
      ]);
    });

    it("leaves out what was resolved, until it fails again", async (t) => {
      const spec = await make(t);
      const box = await open(t, spec);
      await box.write([...lettersOf(0, 6), letterOf(7, { key: undefined })], never);
      await box.resolve("test", ["test:1", "test:4", "test:7", "unknown"], never);
      await box.resolve("test", [], never);
      assert.deepEqual(await idsIn(box), ["test:0", "test:2", "test:3", "test:5"]);
      const other = await open(t, spec);
      assert.deepEqual(await idsIn(other), ["test:0", "test:2", "test:3", "test:5"]);
      // As by the running task, while the operator has read it.
      await other.write([letterOf(1, { attempts: 2, lastFailure: Date.UTC(2026, 1, 1) })], never);
      assert.deepEqual(await idsIn(box), ["test:0", "test:1", "test:2", "test:3", "test:5"]);
      await box.write([letterOf(2, { attempts: 2 })], never);
      await box.resolve("test", ["test:2"], never);
      assert.deepEqual(await idsIn(box), ["test:0", "test:1", "test:3", "test:5"]);
    });

    it("keeps the letters of several tasks apart", async (t) => {
      const spec = await make(t);
      const [one, two] = [await open(t, spec), await open(t, spec)];
      await Promise.all([one.write(lettersOf(0, 50), never), two.write([letterOf(0, { id: "other:0", task: "other" })], never)]);
      assert.equal((await idsIn(two)).length, 50);
      assert.deepEqual(await idsIn(one, "other"), ["other:0"]);
      await one.resolve("other", ["test:0"], never);
      await one.resolve("test", ["other:0"], never);
      assert.equal((await idsIn(one)).length, 50);
      assert.deepEqual(await idsIn(two, "other"), ["other:0"]);
      assert.deepEqual(await idsIn(one, "nobody"), []);
    });

    it("gives a write up that was aborted before, and takes the next", async (t) => {
      const box = await open(t, await make(t));
      const reason = new PlannedStop("test");
      await assert.rejects(box.write([letterOf(1)], AbortSignal.abort(reason)), (error) => error === reason);
      await box.write([letterOf(2)], never);
      assert.deepEqual(await idsIn(box), ["test:2"]);
    });

    it("is empty at first, and disposed of twice", async (t) => {
      const box = await open(t, await make(t));
      assert.deepEqual(await read(box), []);
      await box[Symbol.asyncDispose]();
      await box[Symbol.asyncDispose]();
    });
  });
}
