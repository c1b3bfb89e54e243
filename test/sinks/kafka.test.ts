import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { type Event, NO_WATERMARK } from "../../src/batch.ts";
import { systemClock } from "../../src/clock.ts";
import type { Logger, OpenContext } from "../../src/contracts.ts";
import { DataError, NotReadyError } from "../../src/errors.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { kafkaSink, kafkaSinkConfig, type KafkaSinkSettings } from "../../src/sinks/kafka.ts";
import { KAFKA_CLIENTS, kafkaConnection, makeTopic, readAll, silent, uniqueName } from "../support/kafka-topics.ts";
import { kafka } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const address = await kafka();
const never = new AbortController().signal;

for (const client of KAFKA_CLIENTS) {
  test(`events become records through ${client}`, async (t) => {
    const topic = await makeTopic(address, 1);
    const sink = await open(t, { topic }, { connections: connections(client) });
    await sink.write(
      [
        event({ value: { n: 1 }, key: "a", time: 5, headers: [["trace", "x"]] }),
        event({ value: "text", key: "ключ" }),
        event({ value: Buffer.from("bytes") }),
        event({ value: null, key: "a" }),
        event({ value: undefined, key: "a" }),
      ],
      never,
    );
    const read = await readAll(address, topic);
    assert.deepEqual(
      read.map(({ key, payload }) => [key, payload]),
      [
        ["a", '{"n":1}'],
        ["ключ", "text"],
        [null, "bytes"],
        ["a", null],
        ["a", null],
      ],
    );
    assert.equal(read[0]?.ts, 5);
    assert.deepEqual(read[0]?.headers?.slice(0, 3), ["trace", "x", "millrace-id"]);
    assert.ok(Math.abs((read[1]?.ts ?? 0) - Date.now()) < 60_000, "an event without a time is written with today's");
  });

  test(`a result's id is its header, in the place of its record's, through ${client}`, async (t) => {
    const topic = await makeTopic(address, 1);
    const { origin } = event({});
    const events = [
      event({
        origin,
        value: 1,
        headers: [
          ["millrace-id", "before"],
          ["trace", "x"],
        ],
      }),
      event({ origin, value: 2 }),
      event({ origin, value: 3 }),
    ];
    for (const settings of [{ topic }, { topic }, { topic, ids: false }]) {
      await using sink = await open(t, settings, { connections: connections(client) });
      await sink.write(events, never);
    }
    const written = (await readAll(address, topic)).map((record) => record.headers);
    const [first, ...others] = written.slice(0, 3);
    assert.deepEqual(first?.slice(0, 3), ["trace", "x", "millrace-id"]);
    const ids = [first?.[3], ...others.map((each) => each?.[1])];
    assert.equal(new Set(ids).size, 3);
    assert.deepEqual(written.slice(3, 6), written.slice(0, 3), "the same when it is written again");
    assert.deepEqual(written.slice(6), [["millrace-id", "before", "trace", "x"], undefined, undefined]);
  });

  test(`an event that can't be written is named through ${client}`, async (t) => {
    const topic = await makeTopic(address, 1);
    const sink = await open(t, { topic, maxMessageBytes: 2000 }, { connections: connections(client) });
    const refused = (expected: RegExp) => (error: unknown) =>
      error instanceof DataError && error.place?.offset === 17 && expected.test(error.message) && !error.message.includes("yyyy");
    const large = [event({ value: "fine" }), event({ value: "y".repeat(3000), offset: 17 }), event({ value: "after it", offset: 18 })];
    await assert.rejects(
      sink.write(large, never),
      refused(/step "kafka" at kafka in\/3@17: the record has about 30\d\d bytes, more than the limit of 2000/),
    );
    await assert.rejects(sink.write([event({ value: 1n, offset: 17 })], never), refused(/at kafka in\/3@17: .*JSON/));
    await assert.rejects(sink.write([event({ value: 1, time: 1e300, offset: 17 })], never), refused(/is no time/));
    assert.equal((await readAll(address, topic)).length, 1, "what comes before it is written, and nothing after it");
  });
}

test("keys can be left away, or written byte by byte as a source read them", async (t) => {
  const topic = await makeTopic(address, 1);
  const byBytes = await open(t, { topic, keyEncoding: "latin1" });
  await byBytes.write([event({ value: "1", key: Buffer.from("ключ").toString("latin1") })], never);
  const without = await open(t, { topic, key: "none" });
  await without.write([event({ value: "2", key: "k" })], never);
  const read = await readAll(address, topic);
  assert.deepEqual(
    read.map(({ key }) => key),
    ["ключ", null],
  );
});

test("a topic that is missing is named; create: true makes it", async (t) => {
  const topic = uniqueName("missing");
  await assert.rejects(open(t, { topic }), (error) => error instanceof NotReadyError && error.message.includes(topic));
  const sink = await open(t, { topic, create: { partitions: 2, replicas: 1 } });
  await sink.write([event({ value: "v" })], never);
  assert.equal((await readAll(address, topic)).length, 1);
});

test("sinks of a process share a producer, and each can be closed by itself", async (t) => {
  const topic = await makeTopic(address, 1);
  const shared = openSharedResources();
  let made = 0;
  const counting: OpenContext["shared"] = { lease: (key, create) => shared.lease(key, () => (made++, create())) };
  const one = await open(t, { topic }, { shared: counting });
  const two = await open(t, { topic }, { shared: counting });
  await one.write([event({ value: "1" })], never);
  await one[Symbol.asyncDispose]();
  await two.write([event({ value: "2" })], never);
  await two[Symbol.asyncDispose]();
  assert.equal(made, 1);
  assert.equal((await readAll(address, topic)).length, 2);
});

test("an absent broker is reported once and holds up neither opening nor a stop", async (t) => {
  const reasons: (string | undefined)[] = [];
  const lines: string[] = [];
  const logger: Logger = { ...silent, warn: (_fields, message) => void lines.push(message), child: () => logger };
  const absent = { ...connections("platformatic"), kafka: kafkaConnection("127.0.0.1:1", "platformatic") };
  const sink = await open(t, { topic: "any" }, { connections: absent, logger, waiting: (reason) => void reasons.push(reason) });
  const controller = new AbortController();
  const write = sink.write([event({ value: "v" })], controller.signal);
  const stopped = assert.rejects(write, /stop/);
  await until("it says why it waits", () => reasons.length > 0);
  controller.abort(new Error("stop"));
  await stopped;
  assert.equal(reasons.length, 1);
  assert.match(reasons[0] ?? "", /^sink kafka any: .*127\.0\.0\.1:1.*refused/);
  assert.deepEqual(lines, ["records can't be written; waiting"]);
});

test("settings that are wrong are refused, those that are left away have defaults", () => {
  assert.deepEqual(kafkaSinkConfig.parse({ topic: "orders" }), {
    topic: "orders",
    key: "event",
    keyEncoding: "utf8",
    compression: "none",
    ids: true,
    create: false,
    maxMessageBytes: 1_000_000,
    delivery: "at-least-once",
  });
  for (const wrong of [
    {},
    { topic: "a b" },
    { topic: ".." },
    { topic: "t", acks: 1 },
    { topic: "t", compression: "brotli" },
    { topic: "t", maxMessageBytes: 1 },
  ]) {
    assert.equal(kafkaSinkConfig.safeParse(wrong).success, false, JSON.stringify(wrong));
  }
  assert.deepEqual(kafkaSink({ topic: "orders", compression: "zstd" }).description, {
    topic: "orders",
    format: undefined,
    key: undefined,
    compression: "zstd",
    delivery: undefined,
  });
});

async function open(t: TestContext, settings: KafkaSinkSettings, over: Partial<OpenContext> = {}) {
  const sink = await kafkaSink(settings).open({
    task: { id: "task", product: "product", instance: 0, instances: 1 },
    connections: connections("platformatic"),
    shared: openSharedResources(),
    logger: silent,
    clock: systemClock,
    signal: never,
    mode: "run",
    waiting: () => undefined,
    ...over,
  });
  t.after(() => sink[Symbol.asyncDispose]());
  return sink;
}

function connections(client: (typeof KAFKA_CLIENTS)[number]): OpenContext["connections"] {
  return { kafka: kafkaConnection(address, client), nats: { servers: [], credentials: undefined }, redis: { url: "" } };
}

function event(over: Partial<Event>): Event {
  const origin = { system: "kafka", name: "in", partition: 3 };
  return {
    value: undefined,
    key: undefined,
    time: Number.NaN,
    headers: undefined,
    origin,
    offset: 0,
    watermark: NO_WATERMARK,
    size: 0,
    ...over,
  };
}
