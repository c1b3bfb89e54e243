/** What every place for dead letters promises. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it, type TestContext } from "node:test";

import { Client } from "pg";

import type { KafkaConnection } from "../../src/connections.ts";
import type { SinkSpec } from "../../src/contracts.ts";
import type { DeadLetter, LetterBox } from "../../src/dead-letter.ts";
import { PlannedStop } from "../../src/errors.ts";
import { fileSink } from "../../src/sinks/file.ts";
import { jetstreamSink } from "../../src/sinks/jetstream.ts";
import { kafkaSink } from "../../src/sinks/kafka.ts";
import { createTableText } from "../../src/sinks/letters/sql-table.ts";
import { sqlSink } from "../../src/sinks/sql.ts";
import { makeStream } from "../support/jetstream.ts";
import { KAFKA_CLIENTS, kafkaConnection, makeTopic } from "../support/kafka-topics.ts";
import { comparable, letterOf } from "../support/letters.ts";
import { openContext } from "../support/open-context.ts";
import { kafka, nats, postgres } from "../support/services/index.ts";
import { tempFolder } from "../support/temp-folder.ts";

interface Harness {
  readonly name: string;
  /** A new place, without letters. */
  readonly make: (t: TestContext, limit?: number) => Promise<SinkSpec> | SinkSpec;
  /** Whether it takes letters of so many bytes only as `make` was told. */
  readonly limited?: true;
  readonly client?: KafkaConnection["client"];
}

const addresses = { kafka: await kafka(), nats: await nats() };
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
  ...["letters", "letters.{key}"].map((subject) => ({
    name: `JetStream on ${subject}`,
    limited: true as const,
    make: async (t: TestContext, limit = -1) =>
      jetstreamSink({ subject: `${await makeStream(t, addresses.nats, { max_msg_size: limit })}.${subject}` }),
  })),
  ...KAFKA_CLIENTS.map((client) => ({
    name: `Kafka through ${client}`,
    client,
    limited: true as const,
    make: async (_: TestContext, maxMessageBytes?: number) =>
      kafkaSink({ topic: await makeTopic(addresses.kafka, 3), ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }) }),
  })),
];

const never = new AbortController().signal;

async function open(t: TestContext, spec: SinkSpec, client?: KafkaConnection["client"]): Promise<LetterBox> {
  const context = openContext(t, addresses);
  const connections = { ...context.connections, kafka: kafkaConnection(addresses.kafka, client ?? "platformatic") };
  const box = await spec.openLetters?.({ ...context, connections });
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

for (const { name, make, client, limited } of HARNESSES) {
  describe(`letter box: ${name}`, () => {
    // kafkajs takes headers by their names, so it keeps the order among those of one name only.
    const byName = (headers: DeadLetter["headers"]) => headers?.toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)));
    const seen = (letter: DeadLetter) => comparable(client === "kafkajs" ? { ...letter, headers: byName(letter.headers) } : letter);

    it("gives letters back exactly, also when it is opened anew", async (t) => {
      const spec = await make(t);
      const letters = ODD.map((odd, index) => letterOf(index, odd));
      const writing = await open(t, spec, client);
      await writing.write(letters, never);
      await writing[Symbol.asyncDispose]();
      const box = await open(t, spec, client);
      const back = await read(box);
      const byId = new Map(back.map((letter) => [letter.id, letter]));
      assert.equal(back.length, letters.length);
      for (const letter of letters) assert.deepEqual(seen(byId.get(letter.id) as DeadLetter), seen(letter));
    });

    it("has a thousand letters when its writes have settled", async (t) => {
      const box = await open(t, await make(t), client);
      await Promise.all([box.write(lettersOf(0, 400), never), box.write(lettersOf(400, 1000), never), box.write([], never)]);
      assert.deepEqual(
        await idsIn(box),
        lettersOf(0, 1000)
          .map(({ id }) => id)
          .sort(),
      );
    });

    it("gives the last one of those with the same id, once", async (t) => {
      const box = await open(t, await make(t), client);
      await box.write([letterOf(1), letterOf(2), letterOf(1, { attempts: 2, lastFailure: Date.UTC(2026, 1, 1) })], never);
      await box.write([letterOf(2, { attempts: 3, lastFailure: Date.UTC(2026, 1, 2), step: "other" })], never);
      const back = await read(box);
      assert.deepEqual(back.map(({ id, attempts }) => `${id} ${attempts}`).sort(), ["test:1 2", "test:2 3"]);
    });

    it("leaves out what was resolved, until it fails again", async (t) => {
      const spec = await make(t);
      const box = await open(t, spec, client);
      await box.write([...lettersOf(0, 6), letterOf(7, { key: undefined })], never);
      await box.resolve("test", ["test:1", "test:4", "test:7", "unknown"], never);
      await box.resolve("test", [], never);
      assert.deepEqual(await idsIn(box), ["test:0", "test:2", "test:3", "test:5"]);
      const other = await open(t, spec, client);
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
      const [one, two] = [await open(t, spec, client), await open(t, spec, client)];
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
      const box = await open(t, await make(t), client);
      const reason = new PlannedStop("test");
      await assert.rejects(box.write([letterOf(1)], AbortSignal.abort(reason)), (error) => error === reason);
      await box.write([letterOf(2)], never);
      assert.deepEqual(await idsIn(box), ["test:2"]);
    });

    it("keeps less of a letter that is too large for it, and the others whole", async (t) => {
      const box = await open(t, await make(t, 20_000), client);
      const large = letterOf(1, { value: Buffer.alloc(30_000, "x") });
      const longStack = letterOf(2, { stack: "s".repeat(30_000), message: "m".repeat(5000) });
      await box.write([letterOf(0), large, longStack, letterOf(3)], never);
      const back = new Map((await read(box)).map((letter) => [letter.id, letter]));
      assert.deepEqual(back.size, 4);
      for (const whole of [letterOf(0), letterOf(3)]) assert.deepEqual(seen(back.get(whole.id) as DeadLetter), seen(whole));
      if (!limited) {
        for (const whole of [large, longStack]) assert.deepEqual(seen(back.get(whole.id) as DeadLetter), seen(whole));
        return;
      }
      const { value, leftOut, message, headers, origin } = back.get(large.id) as DeadLetter;
      assert.deepEqual([value, leftOut, headers, origin.name], [null, 30_000, undefined, "orders"]);
      assert.match(message, /^the value is no JSON.* \(30000 bytes of value and all headers are left out: .*\)$/s);
      const short = back.get(longStack.id) as DeadLetter;
      assert.deepEqual([short.stack, short.leftOut, Buffer.from(short.value ?? []).toString()], [undefined, undefined, "value 2"]);
    });

    it("is empty at first, and disposed of twice", async (t) => {
      const box = await open(t, await make(t), client);
      assert.deepEqual(await read(box), []);
      await box[Symbol.asyncDispose]();
      await box[Symbol.asyncDispose]();
    });
  });
}
