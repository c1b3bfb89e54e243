/**
 * Events → Kafka: our sink beside a loop written by hand on the same client, with the same promises (idempotent, confirmed
 * by all replicas, keys where Java puts them), the same records and the same batches of 1,000 under way. JSON of about 200 bytes, encoded in
 * the run, to 4 partitions. Prints events/s and CPU seconds per million of this process, and the ratio of the rates, from
 * rounds that alternate.
 *
 *   node bench/kafka-produce.ts [events, default 200000] [rounds, default 3] [client, default both]
 *
 * Uses the brokers that MILLRACE_TEST_KAFKA names, or starts one.
 */
import { Admin, compatibilityPartitioner, Producer } from "@platformatic/kafka";

import { type Event, NO_WATERMARK } from "../src/batch.ts";
import type { Sink } from "../src/contracts.ts";
import { createKafkajs } from "../src/kafka/kafkajs-client.ts";
import { openSharedResources } from "../src/shared-resources.ts";
import { kafkaSink } from "../src/sinks/kafka.ts";
import { sharedServices } from "../test/support/services/index.ts";
import { benchContext, median, row, timed } from "./measure.ts";

const EVENTS = Number(process.argv[2] ?? 200_000);
const ROUNDS = Number(process.argv[3] ?? 3);
const CLIENTS = (["platformatic", "kafkajs"] as const).filter((client) => client === (process.argv[4] ?? client));
const BATCH = 1000;
const IN_FLIGHT = 8;
const PARTITIONS = 4;

type Client = (typeof CLIENTS)[number];

interface Bid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
}

/** Writes batches; each settles when it is confirmed. */
interface Writer extends AsyncDisposable {
  write(events: readonly Event<Bid>[]): Promise<unknown>;
}

await using services = await sharedServices(["kafka"]);
const brokers = (services.addresses.get("kafka") ?? "").split(",");
const topics: string[] = [];
const admin = new Admin({ clientId: "bench", bootstrapBrokers: brokers });
const bids = Array.from({ length: BATCH }, (_, index) => bid(index));

try {
  for (const client of CLIENTS) await compare(client);
} finally {
  await admin.deleteTopics({ topics });
  await admin.close();
}

async function compare(client: Client): Promise<void> {
  const byHand = client === "platformatic" ? handWrittenPlatformatic : handWrittenKafkajs;
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const hand = await measure(`${client}, by hand`, byHand);
    const ours = await measure(`${client}, our sink`, (topic) => ourSink(client, topic));
    ratios.push(hand / ours);
  }
  console.log(`${client}: our sink's rate is ${median(ratios).toFixed(2)} times the loop's\n`);
}

/** @returns seconds */
async function measure(name: string, create: (topic: string) => Promise<Writer>): Promise<number> {
  const topic = `bench-produce-${process.pid}-${topics.length}`;
  topics.push(topic);
  await admin.createTopics({ topics: [topic], partitions: PARTITIONS, replicas: 1 });
  await using writer = await create(topic);
  // Connections, identities and compiled code are there before the clock starts.
  await send(writer, Math.min(EVENTS, 20 * BATCH));
  const timing = await timed(() => send(writer, EVENTS));
  console.log(row(name, EVENTS, timing));
  return timing.seconds;
}

async function send(writer: Writer, count: number): Promise<void> {
  const underWay: Promise<unknown>[] = [];
  for (let sent = 0; sent < count; sent += BATCH) {
    if (underWay.length === IN_FLIGHT) await underWay.shift();
    underWay.push(writer.write(bids));
  }
  await Promise.all(underWay);
}

async function ourSink(client: Client, topic: string): Promise<Writer> {
  const context = benchContext({
    connections: {
      kafka: { brokers, client, ssl: false, sasl: undefined },
      nats: { servers: [], credentials: undefined },
      redis: { url: "" },
    },
    shared: openSharedResources(),
  });
  const sink: Sink = await kafkaSink({ topic }).open(context);
  return { write: (events) => sink.write(events, context.signal), [Symbol.asyncDispose]: async () => await sink[Symbol.asyncDispose]() };
}

async function handWrittenPlatformatic(topic: string): Promise<Writer> {
  const producer = new Producer<string, string, string, string>({
    clientId: "bench",
    bootstrapBrokers: brokers,
    idempotent: true,
    partitioner: (message, key) => compatibilityPartitioner(message as never, key),
    serializers: { key: (key) => Buffer.from(key ?? ""), value: (value) => Buffer.from(value ?? "") },
  });
  return {
    write: async (events) => {
      const messages = events.map(({ key, value, time }) => ({
        topic,
        key: key as string,
        value: JSON.stringify(value),
        timestamp: BigInt(time),
      }));
      return await producer.send({ messages });
    },
    [Symbol.asyncDispose]: async () => await producer.close(),
  };
}

async function handWrittenKafkajs(topic: string): Promise<Writer> {
  const kafka = createKafkajs({ brokers, client: "kafkajs", ssl: false, sasl: undefined }, { clientId: "bench" }, benchContext().logger);
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  return {
    write: async (events) => {
      const messages = events.map(({ key, value, time }) => ({
        key: key as string,
        value: JSON.stringify(value),
        timestamp: String(time),
      }));
      return await producer.send({ topic, messages });
    },
    [Symbol.asyncDispose]: async () => await producer.disconnect(),
  };
}

function bid(index: number): Event<Bid> {
  const url = `https://www.nexmark.com/${"abcdefghij".repeat(8)}/item.htm?query=1&channel_id=${index}`;
  const value = { auction: index % 100, bidder: index % 500, price: (index * 7919) % 100_000, channel: "channel-7", url };
  const origin = { system: "bench", name: "bids", partition: 0 };
  return {
    value,
    key: `auction-${value.auction}`,
    time: 1_700_000_000_000 + index,
    headers: undefined,
    origin,
    offset: index,
    watermark: NO_WATERMARK,
    size: 0,
  };
}
