/** What every sink of a database promises while that is killed, frozen or away. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";

import { Redis } from "ioredis";
import { Client } from "pg";

import type { Event } from "../../src/batch.ts";
import type { SinkSpec } from "../../src/contracts.ts";
import { PlannedStop } from "../../src/errors.ts";
import { redisSink } from "../../src/sinks/redis.ts";
import { sqlSink } from "../../src/sinks/sql.ts";
import { eventOf, openContext } from "../support/open-context.ts";
import type { Service } from "../support/services/index.ts";
import { startPostgres, startRedis } from "../support/services/index.ts";
import { until } from "../support/until.ts";

interface Harness {
  readonly name: string;
  readonly start: () => Promise<Service>;
  readonly prepare: (service: Service) => Promise<void>;
  readonly spec: (service: Service) => SinkSpec;
  /** The numbers that arrived, in their order. */
  readonly read: (service: Service) => Promise<readonly number[]>;
}

async function query(service: Service, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: service.address });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function withRedis<R>(service: Service, work: (client: Redis) => Promise<R>): Promise<R> {
  const client = new Redis(service.address);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

const HARNESSES: readonly Harness[] = [
  {
    name: "PostgreSQL",
    start: startPostgres,
    prepare: async (service) => void (await query(service, "CREATE TABLE results (id serial, n integer)")),
    spec: ({ address }) => sqlSink({ url: address, table: "results" }),
    read: async (service) => (await query(service, "SELECT n FROM results ORDER BY id")).map(({ n }) => Number(n)),
  },
  {
    name: "Redis stream",
    start: startRedis,
    prepare: () => Promise.resolve(),
    spec: ({ address }) => redisSink({ url: address, stream: "results" }),
    read: (service) =>
      withRedis(service, async (client) => (await client.xrange("results", "-", "+")).map(([, fields]) => Number(fields.at(-1)))),
  },
  {
    name: "Redis list",
    start: startRedis,
    prepare: () => Promise.resolve(),
    spec: ({ address }) => redisSink({ url: address, list: "results" }),
    read: (service) => withRedis(service, async (client) => (await client.lrange("results", 0, -1)).map(Number)),
  },
];

const BATCH = 50;
const batch = (number: number): Event[] =>
  Array.from({ length: BATCH }, (_, index) => number * BATCH + index).map((n) => eventOf({ n }, n));
const textOf = (events: readonly Event[]): Event[] =>
  events.map((event) => ({ ...event, value: String((event.value as { n: number }).n) }));
const sequence = (to: number) => Array.from({ length: to }, (_, n) => n);
const never = new AbortController().signal;

/** Leaves out what a repeated batch repeats; what is then not in order was lost or mixed up. */
function withoutRepeats(numbers: readonly number[]): readonly number[] {
  const seen = new Set<number>();
  return numbers.filter((number) => !seen.has(number) && seen.add(number));
}

for (const { name, start, prepare, spec, read } of HARNESSES) {
  describe(`sink in trouble: ${name}`, () => {
    const batchOf = (number: number) => (name === "PostgreSQL" ? batch(number) : textOf(batch(number)));

    async function open(t: TestContext) {
      const service = await start();
      t.after(() => service[Symbol.asyncDispose]());
      await prepare(service);
      const context = openContext(t);
      const sink = await spec(service).open(context);
      t.after(() => sink[Symbol.asyncDispose]());
      return { service, context, sink };
    }

    it("loses nothing and keeps the order over a killed server, and tells once that it is away and back", async (t) => {
      const { service, context, sink } = await open(t);
      let written = 0;
      const ending = new AbortController();
      const writing = (async () => {
        for (; !ending.signal.aborted; written++) await sink.write(batchOf(written), never);
      })();
      for (const times of [1, 2]) {
        const before = written;
        await until("it writes", () => written > before + 5);
        await service.kill();
        await until("the reason is told", () => context.reasons.at(-1) !== undefined);
        await service.restart();
        await until("it writes again", () => context.reasons.length > 0 && context.reasons.at(-1) === undefined);
        assert.deepEqual(
          context.lines.map((line) => line.split(" ")[0]),
          Array.from({ length: times }, () => ["warn", "info"]).flat(),
        );
      }
      ending.abort();
      await writing;
      assert.deepEqual(withoutRepeats(await read(service)), sequence(written * BATCH));
    });

    it("waits for a server that is away when it is opened", async (t) => {
      const service = await start();
      t.after(() => service[Symbol.asyncDispose]());
      await prepare(service);
      await service.stop();
      const context = openContext(t);
      await using sink = await spec(service).open(context);
      const writing = sink.write(batchOf(0), never);
      await until("the reason is told", () => context.reasons.at(-1) !== undefined);
      await service.restart();
      await writing;
      assert.equal(context.reasons.at(-1), undefined);
      assert.deepEqual(await read(service), sequence(BATCH));
    });

    it("is given up at once while its server hangs, with what waits behind, and goes on when it answers again", async (t) => {
      const { service, sink } = await open(t);
      await sink.write(batchOf(0), never);
      await service.freeze();
      const stop = new AbortController();
      const writes = [1, 2, 3].map((number) => sink.write(batchOf(number), stop.signal));
      const reason = new PlannedStop("test");
      setTimeout(() => stop.abort(reason), 50);
      const began = performance.now();
      for (const write of writes) await assert.rejects(write, (error) => error === reason);
      assert.ok(performance.now() - began < 2000);
      await service.thaw();
      await sink.write(batchOf(4), never);
      const numbers = await read(service);
      assert.deepEqual(numbers.slice(0, BATCH), sequence(BATCH));
      assert.deepEqual(
        numbers.slice(-BATCH),
        sequence(BATCH).map((n) => n + 4 * BATCH),
      );
    });

    it("tells of a server that hangs for long, and loses nothing", async (t) => {
      const { service, context, sink } = await open(t);
      await sink.write(batchOf(0), never);
      await service.freeze();
      const writing = [1, 2].map((number) => sink.write(batchOf(number), never));
      await until("the reason is told", () => context.reasons.at(-1) !== undefined, { timeout: 60_000 });
      await service.thaw();
      await Promise.all(writing);
      assert.deepEqual(withoutRepeats(await read(service)), sequence(3 * BATCH));
    });

    it("closes soon while its server hangs and a write was given up", async (t) => {
      const { service, sink } = await open(t);
      await sink.write(batchOf(0), never);
      await service.freeze();
      const stop = new AbortController();
      const writing = sink.write(batchOf(1), stop.signal);
      setTimeout(() => stop.abort(new PlannedStop("test")), 50);
      await assert.rejects(writing, PlannedStop);
      const began = performance.now();
      await sink[Symbol.asyncDispose]();
      assert.ok(performance.now() - began < 5000);
      await service.thaw();
    });

    it("closes at once while its server is away", async (t) => {
      const { service, sink } = await open(t);
      await sink.write(batchOf(0), never);
      await service.kill();
      const began = performance.now();
      await sink[Symbol.asyncDispose]();
      assert.ok(performance.now() - began < 2000);
    });
  });
}
