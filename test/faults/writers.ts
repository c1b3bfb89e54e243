/** Writes records into the input of a fault run, past the proxies and by clients that Millrace's own code has no part in. */
import { jetstream, type JetStreamClient } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import kafkajs, { type Producer } from "kafkajs";

import { restRequestQueues } from "../../src/kafka/kafkajs-client.ts";
import type { RecordWriter } from "./generator.ts";
import { type FaultRecord, recordText } from "./record.ts";

/**
 * A frozen broker answers when it goes on. Were it not waited for, what was sent to it could come into the log behind what was
 * sent after it. In milliseconds.
 */
const PATIENCE = 120_000;

const KEY_HEADER = "Millrace-Key";

/** By kafkajs, with all replicas' acknowledgement, each batch tried once. */
export class KafkaWriter implements RecordWriter {
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #partitions: number;

  private constructor(producer: Producer, topic: string, partitions: number) {
    this.#producer = producer;
    this.#topic = topic;
    this.#partitions = partitions;
  }

  static async open(address: string, topic: string, partitions: number): Promise<KafkaWriter> {
    restRequestQueues();
    const kafka = new kafkajs.Kafka({
      clientId: "fault-writer",
      brokers: address.split(","),
      requestTimeout: PATIENCE,
      connectionTimeout: 2000,
      retry: { retries: 0 },
      logLevel: kafkajs.logLevel.NOTHING,
    });
    // Without trying again it would go to a former leader for long.
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, metadataMaxAge: 1000 });
    await producer.connect();
    return new KafkaWriter(producer, topic, partitions);
  }

  async write(records: readonly FaultRecord[]): Promise<void> {
    const messages = records.map((record) => ({ key: record.key, value: recordText(record) }));
    await this.#producer.send({ topic: this.#topic, acks: -1, timeout: PATIENCE, messages });
  }

  async writeEverywhere(record: FaultRecord): Promise<void> {
    const value = recordText(record);
    const messages = Array.from({ length: this.#partitions }, (_, partition) => ({ key: record.key, value, partition }));
    await this.#producer.send({ topic: this.#topic, acks: -1, timeout: PATIENCE, messages });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#producer.disconnect();
  }
}

/** By the NATS client, each message acknowledged by the stream. The server may drop what comes with the same id again; these have none. */
export class JetStreamWriter implements RecordWriter {
  readonly #client: NatsConnection;
  readonly #js: JetStreamClient;
  readonly #subject: string;
  #lost = Promise.withResolvers<never>();

  private constructor(client: NatsConnection, subject: string) {
    this.#client = client;
    this.#js = jetstream(client, { timeout: PATIENCE });
    this.#subject = subject;
    this.#lost.promise.catch(() => undefined);
    void this.#watch();
  }

  static async open(address: string, subject: string): Promise<JetStreamWriter> {
    const client = await connect({ servers: address, maxReconnectAttempts: -1, reconnectTimeWait: 100, pingInterval: PATIENCE });
    return new JetStreamWriter(client, subject);
  }

  async write(records: readonly FaultRecord[]): Promise<void> {
    const published = records.map(async (record) => {
      const header = headers();
      header.set(KEY_HEADER, record.key);
      await this.#js.publish(this.#subject, recordText(record), { headers: header, timeout: PATIENCE });
    });
    // An answer that a lost connection would have brought never comes.
    await Promise.race([Promise.all(published), this.#lost.promise]).finally(() => {
      for (const one of published) one.catch(() => undefined);
    });
  }

  async writeEverywhere(record: FaultRecord): Promise<void> {
    await this.write([record]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#client.status()) {
      if (type !== "disconnect") continue;
      this.#lost.reject(new Error("the connection was lost"));
      this.#lost = Promise.withResolvers();
      this.#lost.promise.catch(() => undefined);
    }
  }
}
