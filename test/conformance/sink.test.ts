/** What every sink promises. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it, type TestContext } from "node:test";

import { Redis } from "ioredis";
import { Client } from "pg";

import type { Event } from "../../src/batch.ts";
import type { OpenContext, Sink, SinkSpec } from "../../src/contracts.ts";
import { PlannedStop } from "../../src/errors.ts";
import { fileSink } from "../../src/sinks/file.ts";
import { jetstreamSink } from "../../src/sinks/jetstream.ts";
import { kafkaSink } from "../../src/sinks/kafka.ts";
import { memorySink } from "../../src/sinks/memory.ts";
import { redisSink } from "../../src/sinks/redis.ts";
import { sqlSink } from "../../src/sinks/sql.ts";
import { makeStream, stored } from "../support/jetstream.ts";
import { makeTopic, readAll } from "../support/kafka-topics.ts";
import { eventOf, openContext } from "../support/open-context.ts";
import { kafka, nats, postgres, redis } from "../support/services/index.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** What an event of these tests holds: which partition it is of, and its number there. */
interface Value {
  readonly p: string;
  readonly n: number;
}

interface Target {
  readonly spec: SinkSpec;
  /** What arrived, in its order. */
  read(): Promise<readonly Value[]> | readonly Value[];
}

interface Harness {
  readonly name: string;
  readonly make: (t: TestContext) => Promise<Target> | Target;
}

const addresses = { kafka: await kafka(), nats: await nats(), redis: await redis(), postgres: await postgres() };
const database = new Client({ connectionString: addresses.postgres });
await database.connect();
const store = new Redis(addresses.redis);
after(async () => {
  await database.end();
  store.disconnect();
});

let names = 0;
const uniqueName = () => `sink_conformance_${process.pid}_${Date.now()}_${names++}`;
const parsed = (texts: readonly string[]) => texts.map((text) => JSON.parse(text) as Value);

function file(name: string, parse: (line: string) => Value): Harness {
  return {
    name: `file of ${name}`,
    make: (t) => {
      const path = join(tempFolder(t), `out.${name}`);
      const read = () =>
        readFileSync(path, "utf8")
          .split("\n")
          .slice(name === "csv" ? 1 : 0, -1)
          .map(parse);
      return { spec: fileSink({ path }), read };
    },
  };
}

const HARNESSES: readonly Harness[] = [
  {
    name: "memory",
    make: () => {
      const spec = memorySink();
      return { spec, read: () => spec.events.map(({ value }) => value as Value) };
    },
  },
  file("ndjson", (line) => JSON.parse(line) as Value),
  file("csv", (line) => ({ p: line.split(",")[0] ?? "", n: Number(line.split(",")[1]) })),
  {
    name: "SQLite",
    make: (t) => {
      const path = join(tempFolder(t), "out.sqlite");
      const db = new DatabaseSync(path);
      t.after(() => db.close());
      db.exec("CREATE TABLE results (p TEXT, n INTEGER)");
      const read = () =>
        db
          .prepare("SELECT p, n FROM results ORDER BY rowid")
          .all()
          .map((row) => ({ ...row }) as unknown as Value);
      return { spec: sqlSink({ url: `sqlite:${path}`, table: "results" }), read };
    },
  },
  {
    name: "PostgreSQL",
    make: async (t) => {
      const table = uniqueName();
      await database.query(`CREATE TABLE ${table} (id serial, p text, n integer)`);
      t.after(() => database.query(`DROP TABLE ${table}`));
      const read = async () => (await database.query<{ p: string; n: number }>(`SELECT p, n FROM ${table} ORDER BY id`)).rows;
      return { spec: sqlSink({ url: addresses.postgres, table }), read };
    },
  },
  {
    name: "Redis stream",
    make: (t) => {
      const stream = forRedis(t);
      const read = async () =>
        parsed((await store.xrange(stream, "-", "+")).map(([, fields]) => fields[fields.indexOf("value") + 1] ?? ""));
      return { spec: redisSink({ stream }), read };
    },
  },
  {
    name: "Redis list",
    make: (t) => {
      const list = forRedis(t);
      return { spec: redisSink({ list }), read: async () => parsed(await store.lrange(list, 0, -1)) };
    },
  },
  {
    name: "Redis channel",
    make: async (t) => {
      const channel = uniqueName();
      const listener = store.duplicate();
      t.after(() => listener.disconnect());
      const heard: string[] = [];
      listener.on("message", (_, message) => heard.push(message));
      await listener.subscribe(channel);
      const read = async () => {
        // The answer comes behind all that was published before.
        await listener.ping();
        return parsed(heard);
      };
      return { spec: redisSink({ channel }), read };
    },
  },
  {
    name: "Kafka",
    make: async () => {
      const topic = await makeTopic(addresses.kafka, 1);
      return {
        spec: kafkaSink({ topic }),
        read: async () => parsed((await readAll(addresses.kafka, topic)).map(({ payload }) => payload ?? "")),
      };
    },
  },
  {
    name: "JetStream",
    make: async (t) => {
      const stream = await makeStream(t, addresses.nats);
      const read = async () => parsed((await stored(t, addresses.nats, stream)).map((message) => message.text));
      return { spec: jetstreamSink({ subject: `${stream}.x` }), read };
    },
  },
];

function forRedis(t: TestContext): string {
  const key = uniqueName();
  t.after(() => store.del(key));
  return key;
}

const never = new AbortController().signal;
const events = (p: string, from: number, to: number): Event[] =>
  Array.from({ length: to - from }, (_, index) => eventOf({ p, n: from + index }, from + index, { name: p, key: p }));
const numbersOf = (values: readonly Value[], p: string) => values.filter((value) => value.p === p).map(({ n }) => n);
const sequence = (to: number) => Array.from({ length: to }, (_, n) => n);

async function open(t: TestContext, spec: SinkSpec): Promise<{ sink: Sink; context: OpenContext }> {
  const context = openContext(t, addresses);
  const sink = await spec.open(context);
  t.after(() => sink[Symbol.asyncDispose]());
  return { sink, context };
}

for (const { name, make } of HARNESSES) {
  describe(`sink: ${name}`, () => {
    it("has everything, in order, when its writes have settled", async (t) => {
      const target = await make(t);
      const { sink } = await open(t, target.spec);
      for (const [from, to] of [
        [0, 1],
        [1, 1500],
        [1500, 1503],
      ] as const) {
        await sink.write(events("a", from, to), never);
        assert.deepEqual(numbersOf(await target.read(), "a"), sequence(to));
      }
    });

    it("keeps the order of each partition over as many calls at a time as it allows", async (t) => {
      const target = await make(t);
      const { sink } = await open(t, target.spec);
      const { maxInFlight = 1 } = sink;
      const writePartition = async (p: string) => {
        const under: Promise<void>[] = [];
        for (let from = 0; from < 400; from += 20) {
          if (under.length >= maxInFlight) await under.shift();
          under.push(sink.write(events(p, from, from + 20), never));
        }
        await Promise.all(under);
      };
      await Promise.all(["a", "b", "c"].map(writePartition));
      const values = await target.read();
      for (const p of ["a", "b", "c"]) assert.deepEqual(numbersOf(values, p), sequence(400), p);
    });

    it("writes nothing for a batch without events", async (t) => {
      const target = await make(t);
      const { sink } = await open(t, target.spec);
      await sink.write([], never);
      await sink.write(events("a", 0, 1), never);
      assert.deepEqual(await target.read(), [{ p: "a", n: 0 }]);
    });

    it("goes on behind what was there when it is opened again", async (t) => {
      const target = await make(t);
      for (const from of [0, 10]) {
        const { sink } = await open(t, target.spec);
        await sink.write(events("a", from, from + 10), never);
        await sink[Symbol.asyncDispose]();
      }
      assert.deepEqual(numbersOf(await target.read(), "a"), sequence(20));
    });

    it("gives a write up that was aborted before, with the reason of the abort, and takes the next", async (t) => {
      const target = await make(t);
      const { sink } = await open(t, target.spec);
      const reason = new PlannedStop("test");
      if (name !== "memory") await assert.rejects(sink.write(events("a", 0, 10), AbortSignal.abort(reason)), (error) => error === reason);
      await sink.write(events("b", 0, 10), never);
      assert.deepEqual(numbersOf(await target.read(), "b"), sequence(10));
    });

    it("is disposed of twice, and unused", async (t) => {
      const target = await make(t);
      const { sink } = await open(t, target.spec);
      await sink[Symbol.asyncDispose]();
      await sink[Symbol.asyncDispose]();
    });

    it("says nothing of passwords and payloads in its description", async (t) => {
      const { spec } = await make(t);
      assert.equal(typeof spec.kind, "string");
      for (const value of Object.values(spec.description)) assert.ok(value === undefined || typeof value !== "object");
    });
  });
}
