/**
 * Production through @platformatic/kafka: its connections, metadata and requests, with batches and sequence numbers of our
 * own. Its `send` spends five times as long on each record, and after a failure it forgets which of them were sent.
 */
import type { Connection } from "@platformatic/kafka";
import { Admin, Producer } from "@platformatic/kafka";

import type { KafkaConnection } from "../connections.ts";
import { InfrastructureError } from "../errors.ts";
import { brokerErrorName, brokerTrouble, leaderless } from "./broker-errors.ts";
import { type BrokerAddress, platformaticOptions } from "./client-options.ts";
import type { Codec } from "./codecs.ts";
import type { OutgoingRecord } from "./outgoing-record.ts";
import { listenForErrors } from "./platformatic-errors.ts";
import { PlatformaticLayouts } from "./platformatic-layouts.ts";
import { type Answer, type PartitionBatch, ProduceRequests, produceVersion } from "./platformatic-produce.ts";
import type { Outcome, PartitionWriter, ProducerClient, ProducerId } from "./producer-client.ts";
import { denial, isMissing, isTooLarge, meaningOf, WRITTEN } from "./producer-client.ts";
import type { NewTopic, ProducerSettings } from "./producer.ts";
import { signBatch, writeBatch } from "./record-batch-writer.ts";

export class PlatformaticProducer implements ProducerClient {
  readonly maxBatchRecords = Number.POSITIVE_INFINITY;
  readonly codec: Codec | "none";
  readonly #connection: KafkaConnection;
  readonly #clientId: string;
  readonly #client: Producer;
  readonly #layouts: PlatformaticLayouts;
  readonly #requests = new ProduceRequests();
  #version: Promise<number> | undefined;
  #producerId: Promise<ProducerId> | undefined;

  constructor(connection: KafkaConnection, settings: ProducerSettings, clientId: string) {
    this.codec = settings.compression;
    this.#connection = connection;
    this.#clientId = clientId;
    this.#client = new Producer(platformaticOptions(connection, { clientId }));
    this.#layouts = new PlatformaticLayouts(this.#client);
    listenForErrors(this.#client.connections);
  }

  async partitions(topic: string): Promise<number | undefined> {
    try {
      return (await this.#layouts.ask(topic))?.leaders.length;
    } catch (error) {
      throw this.#failure(error, topic);
    }
  }

  async createTopic(topic: string, { partitions, replicas }: NewTopic): Promise<void> {
    const admin = new Admin(platformaticOptions(this.#connection, { clientId: this.#clientId }));
    try {
      await admin.createTopics({ topics: [topic], partitions: partitions ?? -1, replicas: replicas ?? -1 });
    } catch (error) {
      if (brokerErrorName(error) !== "TOPIC_ALREADY_EXISTS") throw this.#failure(error, topic);
    } finally {
      await admin.close();
    }
  }

  writer(topic: string, partition: number): PartitionWriter {
    return new PlatformaticWriter(this, topic, partition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const connections = [...this.#client.connections].map(([, connection]) => connection);
    const closed = this.#client.close();
    // Nothing that anybody waits for is under way; a frozen broker would keep a connection from closing.
    for (const { socket } of connections) (socket as typeof socket | undefined)?.destroy();
    await closed;
  }

  /** An identity for the batches of a partition; a new one if `spent` is the present one. */
  async producerId(spent: ProducerId | undefined): Promise<ProducerId> {
    const present = await this.#producerId?.catch(() => undefined);
    if (present === undefined || present === spent) this.#producerId = this.#client.initIdempotentProducer({});
    return await (this.#producerId as Promise<ProducerId>);
  }

  /**
   * Sends a batch to the leader of its partition.
   * @returns undefined when it was written
   * @throws what the client throws when there is no answer
   */
  async produce(batch: PartitionBatch): Promise<Answer | undefined> {
    const { topic, partition } = batch;
    const leader = (await this.#layouts.of(topic))?.leaders[partition];
    if (leader === undefined) return { name: "UNKNOWN_TOPIC_OR_PARTITION", message: "the topic has no such partition" };
    const broker = this.#layouts.brokers.get(leader);
    if (broker === undefined) return { name: "LEADER_NOT_AVAILABLE", message: leaderless(`${topic}/${partition}`) };
    this.#version ??= this.#negotiate();
    const version = await this.#version;
    const { connections } = this.#client;
    const established = connections.getEstablishedConnection(broker);
    const connection = established?.isConnected() === true ? established : await connections.get(broker);
    return await this.#requests.send(connection, version, batch);
  }

  /** Makes the next attempt look for the leader and the protocol again. */
  forget(): void {
    this.#client.clearMetadata();
    this.#layouts.forget();
    this.#version = undefined;
  }

  /** A connection to a broker: to that one, or to any that is up. */
  async connectionTo(broker: BrokerAddress | undefined): Promise<Connection> {
    const { connections } = this.#client;
    if (broker !== undefined) return await connections.get({ ...broker });
    const { bootstrapBrokers } = platformaticOptions(this.#connection, { clientId: this.#clientId });
    return await connections.getFirstAvailable([...bootstrapBrokers, ...this.#layouts.brokers.values()] as BrokerAddress[]);
  }

  /** Why there is no answer, for the operator. */
  troubleIn(error: unknown): string {
    return error instanceof InfrastructureError ? error.message : brokerTrouble(error, this.#connection);
  }

  async #negotiate(): Promise<number> {
    const version = produceVersion(await this.#client.listApis());
    if (version !== undefined) return version;
    throw new InfrastructureError("the Kafka brokers are older than 2.8; set kafka.client to kafkajs");
  }

  #failure(error: unknown, topic: string): Error {
    const name = brokerErrorName(error);
    if (name !== undefined && meaningOf(name) === "denied") return denial(topic, name, error);
    return new Error(this.troubleIn(error), { cause: error });
  }
}

/** A batch whose outcome is not known yet. */
interface PendingBatch {
  readonly records: readonly OutgoingRecord[];
  /** As it was sent, under the present identity. */
  bytes: Buffer | undefined;
}

class PlatformaticWriter implements PartitionWriter {
  readonly #client: PlatformaticProducer;
  readonly #topic: string;
  readonly #partition: number;
  #producerId: ProducerId | undefined;
  /** The identity under which a batch was given up: its numbers are used, up to where is not known. */
  #spent: ProducerId | undefined;
  #sequence = 0;
  /** The batch being written. What comes back for another one is of no interest any more. */
  #batch: PendingBatch | undefined;

  constructor(client: PlatformaticProducer, topic: string, partition: number) {
    this.#client = client;
    this.#topic = topic;
    this.#partition = partition;
  }

  async send(records: readonly OutgoingRecord[]): Promise<Outcome> {
    if (this.#batch?.records !== records) this.#batch = { records, bytes: undefined };
    const batch = this.#batch;
    try {
      const company = batch.bytes === undefined ? "others" : "alone";
      const bytes = (batch.bytes ??= await this.#write(batch));
      // Given up before it had an identity: sent now, it would use the sequence number of the next one.
      if (this.#batch !== batch) return { kind: "again", reason: "the batch was given up" };
      const answer = await this.#client.produce({ topic: this.#topic, partition: this.#partition, bytes, transaction: null, company });
      return answer === undefined ? this.#written(batch) : await this.#outcome(batch, answer);
    } catch (error) {
      this.#client.forget();
      return { kind: "again", reason: this.#client.troubleIn(error), missing: isMissing(brokerErrorName(error) ?? "") };
    }
  }

  abandon(): void {
    // Whether the broker has it decides its next sequence number, so that is not known either. Beginning at 0 again under the
    // same identity would have the next batch taken for an earlier one of as many records, and dropped as its repeat.
    this.#spent = this.#producerId ?? this.#spent;
    this.#producerId = undefined;
    this.#batch = undefined;
  }

  async #write(batch: PendingBatch): Promise<Buffer> {
    const producerId = this.#producerId ?? (await this.#client.producerId(this.#spent));
    if (this.#batch === batch && this.#producerId === undefined) this.#adopt(producerId);
    return await writeBatch(batch.records, this.#client.codec, { ...producerId, sequence: this.#sequence }, Date.now());
  }

  #adopt(producerId: ProducerId): void {
    this.#producerId = producerId;
    this.#sequence = 0;
  }

  /** Sequence numbers begin again at 0 after 2^31 - 1. */
  #written(batch: PendingBatch): Outcome {
    if (this.#batch === batch) {
      this.#sequence = (this.#sequence + batch.records.length) & 0x7fffffff;
      this.#batch = undefined;
    }
    return WRITTEN;
  }

  async #outcome(batch: PendingBatch, { name, message }: Answer): Promise<Outcome> {
    const reason = `Kafka answers for ${this.#topic}/${this.#partition}: ${message} (${name})`;
    const meaning = meaningOf(name);
    if (meaning === "written") return this.#written(batch);
    if (meaning === "again") {
      this.#client.forget();
      return { kind: "again", reason, missing: isMissing(name) };
    }
    if (meaning === "identity") {
      await this.#renew(batch);
      return { kind: "again", reason };
    }
    if (this.#batch === batch) this.#batch = undefined;
    if (meaning === "denied") return { kind: "denied", error: denial(this.#topic, message, undefined) };
    return { kind: "refused", tooLarge: isTooLarge(name), reason };
  }

  /** The broker did not take the batch because it doesn't know us (any more): it goes again under a new identity. */
  async #renew(batch: PendingBatch): Promise<void> {
    const producerId = await this.#client.producerId(this.#producerId);
    if (this.#batch !== batch) return;
    this.#adopt(producerId);
    if (batch.bytes !== undefined) signBatch(batch.bytes, { ...producerId, sequence: 0 });
  }
}
