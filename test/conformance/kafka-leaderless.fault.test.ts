import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";

import { Admin } from "@platformatic/kafka";

import type { KafkaConnection } from "../../src/connections.ts";
import { createProducer } from "../../src/kafka/create-producer.ts";
import { outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import { partitionOfKey } from "../../src/kafka/partitioner.ts";
import { consumerSettings, Reader } from "../support/kafka-reader.ts";
import { numbered, produce } from "../support/kafka-records.ts";
import { KAFKA_CLIENTS, kafkaConnection, readAll, silent, uniqueName } from "../support/kafka-topics.ts";
import { type KafkaService, startKafka } from "../support/services/index.ts";
import { until } from "../support/until.ts";

let service: KafkaService;

before(async () => {
  // A dead broker is soon known to be dead.
  service = await startKafka({ brokers: 3, heap: 256, properties: { "broker.session.timeout.ms": "3000" } });
});

after(async () => {
  await service[Symbol.asyncDispose]();
});

/** A topic with a partition on each broker, and no other replica. */
async function makeSpreadTopic(): Promise<string> {
  const topic = uniqueName("test");
  const admin = new Admin({ clientId: "test", bootstrapBrokers: service.address.split(",") });
  try {
    const assignments = [0, 1, 2].map((partition) => ({ partition, brokers: [partition + 1] }));
    await admin.createTopics({ topics: [topic], assignments, configs: [{ name: "retention.ms", value: "-1" }] });
  } finally {
    await admin.close();
  }
  return topic;
}

/** A key of each partition. */
const keys = [0, 1, 2].map((partition) => {
  let key = 0;
  while (partitionOfKey(String(key), 3) !== partition) key++;
  return String(key);
});

function open(t: TestContext, client: KafkaConnection["client"], topic: string): Reader {
  const reader = new Reader(kafkaConnection(service.address, client), consumerSettings(topic, { group: uniqueName(client) }));
  t.after(() => reader[Symbol.asyncDispose]());
  return reader;
}

// Both clients at once: what takes time is a broker that goes and comes.
describe("a Kafka partition whose only broker is down", () => {
  it("holds up no reader of the others, and is read when it is back", async (t) => {
    const topic = await makeSpreadTopic();
    for (const partition of [0, 1, 2]) await produce(service.address, topic, partition, numbered(100));
    const before = KAFKA_CLIENTS.map((client) => open(t, client, topic));
    await until("all is read", () => before.every(({ count }) => count === 300));
    const [, broker] = service.brokers;
    await broker?.kill();
    const during = KAFKA_CLIENTS.map((client) => open(t, client, topic));
    for (const partition of [0, 2]) await produce(service.address, topic, partition, numbered(100, { first: 100 }));
    await until("the other partitions are read on", () => before.every(({ count }) => count === 500));
    await until("the other partitions are read from their start", () => during.every(({ count }) => count === 400));
    const readers = [...before, ...during];
    const why = new RegExp(`partition ${topic}/1 has no leader`);
    await until("they say so", () => readers.every(({ waiting }) => why.test(waiting.at(-1) ?? "")));
    await broker?.restart();
    await until("all is read", () => readers.every(({ count }) => count === 500));
    await until("they go on", () => readers.every(({ waiting }) => waiting.at(-1) === undefined));
    for (const { failures, lost } of readers) assert.deepEqual([[...failures], lost], [[], []]);
  });

  it("holds up no record for the others, and is written to when it is back", async (t) => {
    const topics = new Map<string, KafkaConnection["client"]>();
    for (const client of KAFKA_CLIENTS) topics.set(await makeSpreadTopic(), client);
    const givenUp = new AbortController();
    // Else a test that fails waits for what can't be written.
    t.after(() => givenUp.abort());
    const { signal } = givenUp;
    const [, broker] = service.brokers;
    await broker?.kill();
    const writers = [...topics].map(async ([topic, client]) => {
      const settings = { compression: "none", maxMessageBytes: 1_000_000 } as const;
      const producer = await createProducer(kafkaConnection(service.address, client), settings, "test", silent);
      t.after(() => producer[Symbol.asyncDispose]());
      const reasons: (string | undefined)[] = [];
      const writer = await producer.topic(topic, { create: undefined, signal, waiting: (reason) => reasons.push(reason) });
      const writes = keys.map((key) => writer.send([outgoingRecord(key, "v", Date.now(), undefined)], signal));
      await Promise.all([writes[0], writes[2]]);
      // The broker may be named that does not answer: that it leads nothing is known a moment later.
      await until("it says that it waits", () => reasons.at(-1) !== undefined);
      return { writes, reasons };
    });
    const written = await Promise.all(writers);
    await broker?.restart();
    for (const { writes, reasons } of written) {
      await Promise.all(writes);
      await until("it says that it goes on", () => reasons.at(-1) === undefined);
    }
    for (const topic of topics.keys()) {
      const read = (await readAll(service.address, topic)).map(({ partition, key }) => [partition, key]);
      assert.deepEqual(
        read,
        keys.map((key, partition) => [partition, key]),
      );
    }
  });
});
