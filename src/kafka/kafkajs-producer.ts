/**
 * Production through kafkajs. It keeps the sequence numbers itself and takes them back when a send fails, so a batch whose
 * outcome is unknown must be the next one that it sends for the partition, or the producer must not be used any more:
 * with the numbers of another batch, the broker would take new records for old ones and drop them.
 */
import type { IHeaders, Kafka, Message, Producer } from "kafkajs";

import type { EventHeaders } from "../batch.ts";
import type { KafkaConnection } from "../connections.ts";
import type { Logger } from "../contracts.ts";
import { brokerErrorName, brokerTrouble, leaderless, nested } from "./broker-errors.ts";
import { REQUEST_TIMEOUT } from "./client-options.ts";
import { createKafkajs, KAFKAJS_COMPRESSION } from "./kafkajs-client.ts";
import type { OutgoingRecord } from "./outgoing-record.ts";
import type { Outcome, PartitionWriter, ProducerClient } from "./producer-client.ts";
import { denial, isMissing, isTooLarge, meaningOf, WRITTEN } from "./producer-client.ts";
import type { NewTopic, ProducerSettings } from "./producer.ts";

const ALL_REPLICAS = -1;

/** How long the broker may wait for its replicas: less than we wait for the broker, so that it is the broker who tells. */
const REPLICA_TIMEOUT = REQUEST_TIMEOUT - 10_000;

/** How long closing may take, in milliseconds. */
const CLOSE_TIMEOUT = 3000;

export class KafkajsProducer implements ProducerClient {
  /** It copies all records of the partition so far for each one, so large batches cost more than more batches. */
  readonly maxBatchRecords = 500;
  readonly #connection: KafkaConnection;
  readonly #kafka: Kafka;
  readonly #compression: ProducerSettings["compression"];
  #session: Session | undefined;
  readonly #retired = new Set<Session>();

  constructor(connection: KafkaConnection, settings: ProducerSettings, clientId: string, logger: Logger) {
    this.#connection = connection;
    // Its back-off may be half a minute; whoever sends tries again much sooner.
    this.#kafka = createKafkajs(connection, { clientId, kafkajsRetries: 0 }, logger);
    this.#compression = settings.compression;
  }

  async partitions(topic: string): Promise<number | undefined> {
    const admin = this.#kafka.admin({ retry: { retries: 1 } });
    try {
      await admin.connect();
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      return topics.find(({ name }) => name === topic)?.partitions.length;
    } catch (error) {
      if (isMissing(brokerErrorName(error) ?? "")) return undefined;
      throw this.#failure(error, topic);
    } finally {
      await admin.disconnect();
    }
  }

  async createTopic(topic: string, { partitions, replicas }: NewTopic): Promise<void> {
    const admin = this.#kafka.admin({ retry: { retries: 1 } });
    try {
      await admin.connect();
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions ?? -1, replicationFactor: replicas ?? -1 }] });
    } catch (error) {
      throw this.#failure(error, topic);
    } finally {
      await admin.disconnect();
    }
  }

  writer(topic: string, partition: number): PartitionWriter {
    return new KafkajsWriter(this, topic, partition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session !== undefined) this.retire(this.#session);
    const closed = Promise.all([...this.#retired].map((session) => session.close()));
    // What may still be under way was given up; a frozen broker would keep it from ending.
    const deadline = AbortSignal.timeout(CLOSE_TIMEOUT);
    await Promise.race([closed, new Promise((resolve) => deadline.addEventListener("abort", resolve, { once: true }))]);
  }

  /** The producer in use, connected. */
  async session(): Promise<Session> {
    const session = (this.#session ??= new Session(this.#kafka, this.#compression));
    try {
      await session.connected;
    } catch (error) {
      this.retire(session);
      throw error;
    }
    return session;
  }

  /** No batch begins with it any more; it is closed when those that it has are settled. */
  retire(session: Session): void {
    if (this.#session === session) this.#session = undefined;
    if (this.#retired.has(session)) return;
    this.#retired.add(session);
    void session.close().then(() => this.#retired.delete(session));
  }

  /** Why there is no answer, for the operator. */
  troubleIn(error: unknown): string {
    return brokerTrouble(error, this.#connection);
  }

  #failure(error: unknown, topic: string): Error {
    const name = brokerErrorName(error);
    if (name !== undefined && meaningOf(name) === "denied") return denial(topic, name, error);
    return new Error(this.troubleIn(error), { cause: error });
  }
}

/** One kafkajs producer, which is one producer id. */
class Session {
  readonly connected: Promise<void>;
  readonly #producer: Producer;
  readonly #compression: ProducerSettings["compression"];
  readonly #sends = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(kafka: Kafka, compression: ProducerSettings["compression"]) {
    this.#producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      // Few: whoever sends tries again by itself, and says why.
      retry: { retries: 1, initialRetryTime: 100, maxRetryTime: 1000 },
    });
    this.#compression = compression;
    this.connected = this.#producer.connect();
  }

  /** @returns whether the broker was asked at all: kafkajs leaves out a partition that it does not find, and says nothing */
  async send(topic: string, messages: Message[]): Promise<boolean> {
    const compression = KAFKAJS_COMPRESSION[this.#compression];
    const sent = this.#producer.send({ topic, messages, acks: ALL_REPLICAS, timeout: REPLICA_TIMEOUT, compression });
    this.#sends.add(sent);
    try {
      return (await sent).length > 0;
    } finally {
      this.#sends.delete(sent);
    }
  }

  /** Closed before all sends are settled, it would lose what it has confirmed. */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    while (this.#sends.size > 0) await Promise.allSettled(this.#sends);
    await this.connected.catch(() => undefined);
    await this.#producer.disconnect().catch(() => undefined);
  }
}

/** A batch whose outcome is not known yet. */
interface PendingBatch {
  readonly records: readonly OutgoingRecord[];
  readonly messages: Message[];
  /** The session that counts its sequence numbers. */
  session: Session | undefined;
}

class KafkajsWriter implements PartitionWriter {
  readonly #client: KafkajsProducer;
  readonly #topic: string;
  readonly #partition: number;
  /** The batch being written. What comes back for another one is of no interest any more. */
  #batch: PendingBatch | undefined;

  constructor(client: KafkajsProducer, topic: string, partition: number) {
    this.#client = client;
    this.#topic = topic;
    this.#partition = partition;
  }

  async send(records: readonly OutgoingRecord[]): Promise<Outcome> {
    if (this.#batch?.records !== records) {
      this.#batch = { records, messages: records.map((record) => messageOf(record, this.#partition)), session: undefined };
    }
    const batch = this.#batch;
    try {
      batch.session ??= await this.#client.session();
      if (!(await batch.session.send(this.#topic, batch.messages))) {
        return { kind: "again", reason: `Kafka topic ${this.#topic} has no partition ${this.#partition}`, missing: true };
      }
      this.#forget(batch);
      return WRITTEN;
    } catch (error) {
      return this.#outcome(batch, error);
    }
  }

  abandon(): void {
    const session = this.#batch?.session;
    if (session !== undefined) this.#client.retire(session);
    this.#batch = undefined;
  }

  #outcome(batch: PendingBatch, error: unknown): Outcome {
    const name = brokerErrorName(error);
    if (name === undefined) {
      const reason = isLeaderless(error) ? `Kafka: ${leaderless(`${this.#topic}/${this.#partition}`)}` : this.#client.troubleIn(error);
      return { kind: "again", reason };
    }
    const reason = `Kafka answers for ${this.#topic}/${this.#partition}: ${name}`;
    const meaning = meaningOf(name);
    if (meaning === "again") return { kind: "again", reason, missing: isMissing(name) };
    if (meaning === "identity") {
      if (batch.session !== undefined) this.#client.retire(batch.session);
      batch.session = undefined;
      return { kind: "again", reason };
    }
    this.#forget(batch);
    if (meaning === "written") return WRITTEN;
    if (meaning === "denied") return { kind: "denied", error: denial(this.#topic, name, error) };
    return { kind: "refused", tooLarge: isTooLarge(name), reason };
  }

  /** Unless it was given up meanwhile. */
  #forget(batch: PendingBatch): void {
    if (this.#batch === batch) this.#batch = undefined;
  }
}

/** Whether kafkajs looked for the leader of a partition that has none: its node is -1 then. */
function isLeaderless(error: unknown): boolean {
  return [...nested(error)].some(({ message }) => message.startsWith("Broker -1 not found"));
}

function messageOf({ key, value, time, headers }: OutgoingRecord, partition: number): Message {
  return {
    partition,
    key: key === undefined ? null : buffered(key),
    value: value === null ? null : buffered(value),
    ...(Number.isFinite(time) ? { timestamp: String(Math.trunc(time)) } : {}),
    ...(headers === undefined ? {} : { headers: headersOf(headers) }),
  };
}

/** kafkajs takes text, or bytes as a Buffer. */
function buffered(text: string | Uint8Array): string | Buffer {
  return typeof text === "string" || Buffer.isBuffer(text) ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
}

/** kafkajs keeps the values of each name in order, but not the order of different names. */
function headersOf(headers: EventHeaders): IHeaders {
  const grouped = Object.create(null) as Record<string, (string | Buffer)[]>;
  for (const [name, value] of headers) (grouped[name] ??= []).push(buffered(value));
  return grouped;
}
