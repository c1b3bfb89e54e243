/**
 * Kafka → events: our source, as the engine reads it, beside a bare loop on the `fetch()` of @platformatic/kafka, which hands
 * out the library's own record objects. Records of about 200 bytes in 4 partitions. Prints events/s, CPU seconds per million
 * events of this process, and the ratio of the rates, from rounds that alternate.
 *
 *   node bench/kafka-read.ts [events, default 500000] [rounds, default 3]
 *
 * Uses the brokers that MILLRACE_TEST_KAFKA names, or starts one.
 */
import { Admin, Consumer, Producer } from "@platformatic/kafka";

import { kafkaSource } from "../src/sources/kafka.ts";
import { sharedServices } from "../test/support/services/index.ts";
import { benchContext, median, row, type Timing, timed } from "./measure.ts";

const EVENTS = Number(process.argv[2] ?? 500_000);
const ROUNDS = Number(process.argv[3] ?? 3);
const PARTITIONS = 4;
const BATCH = 5000;
const REQUEST_BYTES = 1_048_576;

await using services = await sharedServices(["kafka"]);
const brokers = (services.addresses.get("kafka") ?? "").split(",");
const topic = `bench-read-${process.pid}`;
const admin = new Admin({ clientId: "bench", bootstrapBrokers: brokers });
await admin.createTopics({ topics: [topic], partitions: PARTITIONS, replicas: 1, configs: [{ name: "retention.ms", value: "-1" }] });

try {
  await produce();
  const seconds: Record<string, number[]> = { bare: [], platformatic: [], kafkajs: [] };
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    const timings = {
      bare: await timed(readBare),
      platformatic: await timed(() => readOurs("platformatic")),
      kafkajs: await timed(() => readOurs("kafkajs")),
    };
    if (round > 0) report(timings, seconds);
  }
  const bare = median(seconds["bare"] ?? []);
  for (const name of ["platformatic", "kafkajs"])
    console.log(`${name}: ${(bare / median(seconds[name] ?? [])).toFixed(2)} times the rate of the bare loop`);
} finally {
  await admin.deleteTopics({ topics: [topic] });
  await admin.close();
}

function report(timings: Readonly<Record<string, Timing<number>>>, seconds: Record<string, number[]>): void {
  for (const [name, timing] of Object.entries(timings)) {
    if (timing.result !== EVENTS) throw new Error(`${name} read ${timing.result} of ${EVENTS} events`);
    seconds[name]?.push(timing.seconds);
    console.log(row(name, EVENTS, timing));
  }
}

async function produce(): Promise<void> {
  const producer = new Producer({ clientId: "bench", bootstrapBrokers: brokers });
  const value = Buffer.alloc(190, "x");
  for (let at = 0; at < EVENTS; at += BATCH) {
    const partition = (at / BATCH) % PARTITIONS;
    const messages = Array.from({ length: Math.min(BATCH, EVENTS - at) }, (_, index) => ({
      topic,
      partition,
      key: Buffer.from(`key-${index % 1000}`),
      value,
    }));
    await producer.send({ messages });
  }
  await producer.close();
}

/** Reads everything, from all partitions at once. @returns how many events */
async function readOurs(client: "platformatic" | "kafkajs"): Promise<number> {
  const context = benchContext({
    mode: "debug",
    connections: { ...benchContext().connections, kafka: { brokers, client, ssl: false, sasl: undefined } },
  });
  await using source = await kafkaSource({ topic }).open(context, { stateful: false });
  const stop = new AbortController();
  const reading: Promise<void>[] = [];
  let count = 0;
  for await (const partition of source.partitions(stop.signal)) {
    reading.push(
      (async () => {
        await using open = partition;
        for await (const { events } of open.read(undefined)) {
          count += events.length;
          if (count >= EVENTS) stop.abort();
        }
      })(),
    );
  }
  await Promise.all(reading);
  return count;
}

async function readBare(): Promise<number> {
  const consumer = new Consumer({ clientId: "bench", bootstrapBrokers: brokers, groupId: "-", autocommit: false });
  consumer.topics.trackAll(topic);
  const metadata = await consumer.metadata({ topics: [topic] });
  const layout = metadata.topics.get(topic);
  if (layout === undefined) throw new Error(`no topic ${topic}`);
  const offsets = Array.from({ length: PARTITIONS }, () => 0n);
  let count = 0;
  while (count < EVENTS) {
    const partitions = offsets.map((fetchOffset, partition) => ({
      partition,
      fetchOffset,
      partitionMaxBytes: REQUEST_BYTES,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
    }));
    const node = layout.partitions[0]?.leader ?? 0;
    const reply = await consumer.fetch({
      node,
      maxWaitTime: 250,
      minBytes: 1,
      maxBytes: 8 * REQUEST_BYTES,
      topics: [{ topicId: layout.id, partitions }],
    });
    for (const { partitionIndex, records } of reply.responses.flatMap((response) => response.partitions)) {
      for (const batch of records ?? []) {
        count += batch.records.length;
        offsets[partitionIndex] = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
      }
    }
  }
  await consumer.close(true);
  return count;
}
