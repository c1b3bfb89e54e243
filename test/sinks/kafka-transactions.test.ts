import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { systemClock } from "../../src/clock.ts";
import type { OpenContext } from "../../src/contracts.ts";
import { ConfigError, DataError } from "../../src/errors.ts";
import { from } from "../../src/pipeline/builder.ts";
import { createInstance, type Instance, type InstanceEnd } from "../../src/pipeline/instance.ts";
import type { Plan } from "../../src/pipeline/plan.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { kafkaSink } from "../../src/sinks/kafka.ts";
import { kafkaSource } from "../../src/sources/kafka.ts";
import { kafkaConnection, makeTopic, readAll, silent, uniqueName } from "../support/kafka-topics.ts";
import { writeByKcat } from "../support/kcat.ts";
import { kafka } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const address = await kafka();

test("results are seen once by readers of what is committed, and a restart goes on behind them", async (t) => {
  const topics = await makeTopics(2);
  await writeByKcat(address, topics.input, numbers(0, 500));
  const plan = exactly(topics);
  const first = run(t, plan, topics.group);
  await until("all is seen", async () => (await committed(topics.output)).length >= 500);
  assert.equal(await first.stop(), "stopped");
  await writeByKcat(address, topics.input, numbers(500, 800));
  const second = run(t, plan, topics.group);
  await until("all is seen", async () => (await committed(topics.output)).length >= 800);
  assert.equal(await second.stop(), "stopped");
  assert.equal(second.instance.counters.in, 300, "the positions were committed with the results");
  assert.deepEqual(await committed(topics.output), expected(800));
});

test("an idle pipeline commits what it has written, and counts no lag", async (t) => {
  const topics = await makeTopics(1);
  const running = run(t, exactly(topics), topics.group);
  await writeByKcat(address, topics.input, numbers(0, 3));
  await until("all is seen", async () => (await committed(topics.output)).length === 3);
  await until("nothing waits", () => running.instance.lag() === 0);
  await running.stop();
});

test("what is read again after a failure is not seen twice, and what failed is not seen", async (t) => {
  const topics = await makeTopics(1);
  await writeByKcat(address, topics.input, numbers(0, 100));
  const failing = from(kafkaSource({ topic: topics.input, group: topics.group }))
    .map((value) => String(Buffer.from(value as Uint8Array)))
    .map((text) => (text === "60" ? 1n : text))
    .to(kafkaSink({ topic: topics.output, delivery: "exactly-once" }));
  const run1 = run(t, failing, topics.group);
  await assert.rejects(run1.ended, (error) => error instanceof DataError && error.place?.offset === 60);
  assert.deepEqual(await committed(topics.output), expected(60), "those before it are committed, and nothing behind it");
  const run2 = run(t, exactly(topics), topics.group);
  await until("all is seen", async () => (await committed(topics.output)).length >= 100);
  await run2.stop();
  assert.deepEqual(await committed(topics.output), expected(100));
});

test("records of a transaction that was given up are in the log, and not seen", async (t) => {
  const topics = await makeTopics(1);
  await writeByKcat(address, topics.input, numbers(0, 10));
  const abandon = new AbortController();
  // The results of one record never come to an end, so that its transaction never may.
  const endless = from(kafkaSource({ topic: topics.input, group: topics.group }))
    .flatMap(function* (value) {
      for (let n = 0; n < 3000; n++) yield `${String(Buffer.from(value as Uint8Array))}-${n}`;
    })
    .mapAsync(async (text) => {
      if (text === "9-2999") await delay(600_000, undefined, { signal: abandon.signal });
      return text;
    })
    .to(kafkaSink({ topic: topics.output, delivery: "exactly-once" }));
  const lost = run(t, endless, topics.group, { signal: abandon.signal });
  await until("the log has records", async () => (await readAll(address, topics.output, UNCOMMITTED)).length > 20_000);
  abandon.abort(new Error("given up"));
  await assert.rejects(lost.ended);
  const seen = (await committed(topics.output)).length;
  assert.equal(seen % 3000, 0, "a record's results are seen all or not at all");
  assert.ok((await readAll(address, topics.output, UNCOMMITTED)).length > seen, "more is in the log");
  const after = run(t, exactly(topics), topics.group);
  await until("the rest is read again", async () => (await committed(topics.output)).length === seen + 10 - seen / 3000);
  await after.stop();
});

test("the id's last owner can neither write nor commit once another has taken the partition over", async (t) => {
  const topics = await makeTopics(1);
  const former = run(t, exactly(topics), topics.group);
  await writeByKcat(address, topics.input, numbers(0, 5));
  await until("all is seen", async () => (await committed(topics.output)).length === 5);
  // Another group of the same transactional id stands for an owner that the former has not heard of.
  const { PlatformaticProducer } = await import("../../src/kafka/platformatic-producer.ts");
  const { PlatformaticTransactions } = await import("../../src/kafka/platformatic-transactions.ts");
  const client = new PlatformaticProducer(
    kafkaConnection(address, "platformatic"),
    { compression: "none", maxMessageBytes: 1_000_000 },
    "t",
  );
  t.after(() => client[Symbol.asyncDispose]());
  await new PlatformaticTransactions(client, `${topics.group}/${topics.input}/0`).init(undefined);
  await writeByKcat(address, topics.input, numbers(5, 6));
  await assert.rejects(former.ended, /another has taken it over/);
  assert.deepEqual(await committed(topics.output), expected(5));
});

test("kafkajs is refused, with what to do", async (t) => {
  const topics = await makeTopics(1);
  const refused = run(t, exactly(topics), topics.group, { connections: connections("kafkajs") });
  await assert.rejects(refused.ended, (error) => error instanceof ConfigError && /set it to platformatic/.test(error.message));
});

const UNCOMMITTED = ["-X", "isolation.level=read_uncommitted"];

interface Topics {
  readonly input: string;
  readonly output: string;
  readonly group: string;
}

async function makeTopics(partitions: number): Promise<Topics> {
  const [input, output] = [await makeTopic(address, partitions), await makeTopic(address, partitions)];
  return { input, output, group: uniqueName("group") };
}

function exactly({ input, output, group }: Topics): Plan {
  return from(kafkaSource({ topic: input, group })).to(kafkaSink({ topic: output, delivery: "exactly-once" }));
}

interface Run {
  readonly instance: Instance;
  readonly ended: Promise<InstanceEnd>;
  stop(): Promise<InstanceEnd>;
}

function run(t: TestContext, plan: Plan, id: string, over: Partial<OpenContext> = {}): Run {
  const stopping = new AbortController();
  const giveUp = new AbortController();
  const instance = createInstance(plan, {
    task: { id, product: "product", instance: 0, instances: 1 },
    connections: connections("platformatic"),
    shared: openSharedResources(),
    logger: silent,
    clock: systemClock,
    signal: giveUp.signal,
    mode: "run",
    waiting: () => undefined,
    ...over,
  });
  const ended = instance.run(stopping.signal);
  ended.catch(() => undefined);
  t.after(async () => {
    giveUp.abort(new Error("the test is over"));
    await ended.catch(() => undefined);
  });
  return {
    instance,
    ended,
    stop: async () => {
      stopping.abort();
      return await ended;
    },
  };
}

function connections(client: "platformatic" | "kafkajs"): OpenContext["connections"] {
  return { kafka: kafkaConnection(address, client), nats: { servers: [], credentials: undefined }, redis: { url: "" } };
}

function* numbers(first: number, end: number) {
  for (let n = first; n < end; n++) yield { key: `k${n}`, text: String(n) };
}

function expected(count: number): string[] {
  return Array.from({ length: count }, (_, n) => String(n));
}

/** The texts that readers of what is committed see, in the order of their numbers. */
async function committed(topic: string): Promise<(string | null)[]> {
  const records = await readAll(address, topic, ["-X", "isolation.level=read_committed"]);
  return records.map(({ payload }) => payload).toSorted((a, b) => Number(a) - Number(b));
}
