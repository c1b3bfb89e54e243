import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";

import { Admin, ListOffsetTimestamps } from "@platformatic/kafka";

import type { KafkaConnection } from "../../src/connections.ts";
import type { Logger } from "../../src/contracts.ts";
import { kcat } from "./services/index.ts";
import { until } from "./until.ts";

const run = promisify(execFile);

/** The clients that every Kafka suite runs on. */
export const KAFKA_CLIENTS = ["platformatic", "kafkajs"] as const;

/** A plaintext connection to brokers, `host:port` separated by commas. */
export function kafkaConnection(address: string, client: KafkaConnection["client"]): KafkaConnection {
  return { brokers: address.split(","), client, ssl: false, sasl: undefined };
}

export function uniqueName(prefix: string): string {
  return `${prefix}-${randomUUID()}`;
}

/**
 * Makes a topic, by default with one replica and a name of its own. It can be used at once by any client: a broker confirms a
 * topic a moment before it leads all of its partitions, and kcat's queries do not try again then.
 */
export async function makeTopic(
  address: string,
  partitions: number,
  configs: Readonly<Record<string, string>> = {},
  topic = uniqueName("test"),
  replicas = 1,
): Promise<string> {
  const settings = Object.entries({ "retention.ms": "-1", ...configs }).map(([name, value]) => ({ name, value }));
  const ends = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: ListOffsetTimestamps.LATEST }));
  await withAdmin(address, async (admin) => {
    await admin.createTopics({ topics: [topic], partitions, replicas, configs: settings });
    await until("each partition has its leader", async () => await admin.listOffsets({ topics: [{ name: topic, partitions: ends }] }));
  });
  return topic;
}

export async function deleteTopic(address: string, topic: string): Promise<void> {
  await withAdmin(address, async (admin) => await admin.deleteTopics({ topics: [topic] }));
}

/** Adds partitions, so that the topic has `count`. */
export async function growTopic(address: string, topic: string, count: number): Promise<void> {
  await withAdmin(address, async (admin) => await admin.createPartitions({ topics: [{ name: topic, count }] }));
}

async function withAdmin(address: string, work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = new Admin({ clientId: "test", bootstrapBrokers: address.split(",") });
  try {
    await work(admin);
  } finally {
    await admin.close();
  }
}

/** A record as kcat shows it. */
export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly ts: number;
  readonly key: string | null;
  readonly payload: string | null;
  /** Names and values by turns. */
  readonly headers?: readonly string[];
}

/** All records of a topic, partition by partition, read by a client that is not ours. */
export async function readAll(address: string, topic: string, options: readonly string[] = []): Promise<readonly ReadRecord[]> {
  const args = ["-b", address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J", ...options];
  const { stdout } = await run(await kcat(), args, { maxBuffer: 1 << 30 });
  const records = stdout.split("\n").filter((line) => line !== "");
  return records.map((line) => JSON.parse(line) as ReadRecord).toSorted((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** A logger that keeps nothing. */
export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};
