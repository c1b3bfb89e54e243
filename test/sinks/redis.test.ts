import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";

import { Redis } from "ioredis";

import type { Event } from "../../src/batch.ts";
import { DataError, PlannedStop } from "../../src/errors.ts";
import { redisSink, redisSinkConfig, type RedisSinkSettings } from "../../src/sinks/redis.ts";
import { eventOf, openContext } from "../support/open-context.ts";
import { redis, startRedis } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;
const address = await redis();
const client = new Redis(address);
after(() => client.disconnect());

let names = 0;

function key(t: TestContext): string {
  const name = `redis_sink_${process.pid}_${Date.now()}_${names++}`;
  t.after(() => client.del(name));
  return name;
}

/** Writes events; gives the error that ended it. */
async function write(t: TestContext, settings: RedisSinkSettings, ...batches: readonly (readonly Event[])[]): Promise<unknown> {
  await using sink = await redisSink(settings).open(openContext(t, { redis: address }));
  try {
    for (const events of batches) await sink.write(events, never);
    return undefined;
  } catch (error) {
    return error;
  }
}

test("a stream's entries have key, time and value; the oldest are dropped beyond about maxLength", async (t) => {
  const stream = key(t);
  const events = [eventOf({ a: 1 }, 1, { key: "k" }), { ...eventOf("text", 2), time: Number.NaN }, eventOf(null, 3)];
  assert.equal(await write(t, { stream }, events), undefined);
  assert.deepEqual(
    (await client.xrange(stream, "-", "+")).map(([, fields]) => fields),
    [
      ["time", "1000", "key", "k", "value", '{"a":1}'],
      ["value", "text"],
      ["time", "3000", "value", ""],
    ],
  );
  const many = Array.from({ length: 1000 }, (_, n) => eventOf(n, n));
  assert.equal(await write(t, { stream, maxLength: 100 }, many, many), undefined);
  const length = await client.xlen(stream);
  assert.ok(length >= 100 && length < 500, `${length} entries`);
});

test("a list keeps the last maxLength values; bytes stay bytes", async (t) => {
  const list = key(t);
  const bytes = Uint8Array.of(0, 255, 10);
  assert.equal(
    await write(
      t,
      { list, maxLength: 3 },
      [1, 2, 3, bytes].map((value, n) => eventOf(value, n)),
    ),
    undefined,
  );
  assert.deepEqual(await client.lrangeBuffer(list, 0, -1), [Buffer.from("2"), Buffer.from("3"), Buffer.from(bytes)]);
});

test("a hash has the last value of each key; a tombstone deletes", async (t) => {
  const hash = key(t);
  const events = [
    eventOf({ n: 1 }, 0, { key: "a" }),
    eventOf({ n: 2 }, 1, { key: "b" }),
    eventOf({ n: 3 }, 2, { key: "a" }),
    eventOf(null, 3, { key: "b" }),
    eventOf(4, 4, { key: "" }),
  ];
  assert.equal(await write(t, { hash }, events), undefined);
  assert.deepEqual({ ...(await client.hgetall(hash)) }, { a: '{"n":3}', "": "4" });
});

test("a format chooses how values are written", async (t) => {
  const list = key(t);
  assert.equal(await write(t, { list, format: "csv" }, [eventOf({ a: "x, y", b: 2 }, 0)]), undefined);
  assert.deepEqual(await client.lrange(list, 0, -1), ['"x, y",2']);
});

test("an event that can't be written is a data error, behind those before it", async (t) => {
  const hash = key(t);
  const noKey = await write(t, { hash }, [eventOf(1, 0, { key: "a" }), eventOf("hidden", 1), eventOf(3, 2, { key: "c" })]);
  assert.ok(noKey instanceof DataError);
  assert.equal(noKey.message, `step "sink redis" at memory test@1: a hash needs the event's key; set one with keyBy`);
  assert.deepEqual({ ...(await client.hgetall(hash)) }, { a: "1" });
  const list = key(t);
  const bad = await write(t, { list }, [eventOf(1, 0), eventOf({ n: 1n }, 1)]);
  assert.match(String(bad), /memory test@1: the value can't be written as JSON: it has a BigInt/);
  assert.deepEqual(await client.lrange(list, 0, -1), ["1"]);
});

test("a key of another type is a data error", async (t) => {
  const stream = key(t);
  await client.set(stream, "text");
  const error = await write(t, { stream }, [eventOf(1, 7), eventOf(2, 8)]);
  assert.ok(error instanceof DataError);
  assert.match(error.message, /^step "sink redis" at memory test@7: WRONGTYPE/);
});

test("a full memory is waited out; then the batch is there once", async (t) => {
  await using service = await startRedis();
  const own = new Redis(service.address);
  t.after(() => own.disconnect());
  const context = openContext(t, { redis: service.address });
  await using sink = await redisSink({ list: "list" }).open(context);
  await sink.write([eventOf(0, 0)], never);
  await own.config("SET", "maxmemory", "1");
  const writing = sink.write(
    [1, 2, 3].map((n) => eventOf(n, n)),
    never,
  );
  await until("the reason is told", () => context.reasons.length > 0);
  assert.match(String(context.reasons[0]), /^sink redis list: Redis: OOM command not allowed/);
  await own.config("SET", "maxmemory", "0");
  await writing;
  assert.deepEqual(context.reasons.at(-1), undefined);
  assert.deepEqual(await own.lrange("list", 0, -1), ["0", "1", "2", "3"]);
});

test("a wrong password is told, and never shown", async (t) => {
  await using service = await startRedis();
  const own = new Redis(service.address);
  t.after(() => own.disconnect());
  await own.config("SET", "requirepass", "right");
  const context = openContext(t);
  const url = service.address.replace("redis://", "redis://:hidden@");
  const spec = redisSink({ list: "list", url });
  assert.doesNotMatch(JSON.stringify(spec.description), /hidden/);
  await using sink = await spec.open(context);
  const stop = new AbortController();
  const writing = sink.write([eventOf(0, 0)], stop.signal);
  await until("the reason is told", () => context.reasons.length > 0);
  assert.match(String(context.reasons[0]), /WRONGPASS|NOAUTH/);
  stop.abort(new PlannedStop("test"));
  await assert.rejects(writing, PlannedStop);
  assert.doesNotMatch(JSON.stringify([context.reasons, context.lines]), /hidden/);
});

test("settings that can't be are refused", () => {
  const wrong = [
    {},
    { stream: "a", list: "b" },
    { stream: "" },
    { hash: "a", maxLength: 5 },
    { url: "http://x", stream: "a" },
    { strem: "a" },
  ];
  for (const settings of wrong) assert.equal(redisSinkConfig.safeParse(settings).success, false, JSON.stringify(settings));
});
