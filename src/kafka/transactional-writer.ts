/** The batches of a transactional producer, through the connections of a shared one. */
import { InfrastructureError } from "../errors.ts";
import { brokerErrorName } from "./broker-errors.ts";
import type { OutgoingRecord } from "./outgoing-record.ts";
import type { Answer } from "./platformatic-produce.ts";
import type { PlatformaticProducer } from "./platformatic-producer.ts";
import type { Outcome, PartitionWriter, ProducerClient, ProducerId } from "./producer-client.ts";
import { denial, isMissing, isTooLarge, meaningOf, WRITTEN } from "./producer-client.ts";
import type { NewTopic } from "./producer.ts";
import { writeBatch } from "./record-batch-writer.ts";
import { fenced, type TransactionalProducer } from "./transaction.ts";

/** The names of answers after which the transaction can only be given up. */
const FATAL: ReadonlySet<string> = new Set([
  "INVALID_TXN_STATE",
  "TRANSACTION_ABORTABLE",
  "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
  "TRANSACTIONAL_ID_NOT_FOUND",
]);

/** A client for production in whose batches are those of the transactional producer. */
export class TransactionalClient implements ProducerClient {
  readonly #client: PlatformaticProducer;
  readonly #producer: TransactionalProducer;

  /** @param client belongs to others, too, and is not closed here */
  constructor(client: PlatformaticProducer, producer: TransactionalProducer) {
    this.#client = client;
    this.#producer = producer;
  }

  get maxBatchRecords(): number {
    return this.#client.maxBatchRecords;
  }

  partitions(topic: string): Promise<number | undefined> {
    return this.#client.partitions(topic);
  }

  createTopic(topic: string, settings: NewTopic): Promise<void> {
    return this.#client.createTopic(topic, settings);
  }

  writer(topic: string, partition: number): PartitionWriter {
    return new TransactionalWriter(this.#client, this.#producer, topic, partition);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** A batch whose outcome is not known yet. */
interface PendingBatch {
  readonly records: readonly OutgoingRecord[];
  /** As it was sent: it is sent again as the same bytes. */
  bytes: Buffer | undefined;
}

class TransactionalWriter implements PartitionWriter {
  readonly #client: PlatformaticProducer;
  readonly #producer: TransactionalProducer;
  readonly #topic: string;
  readonly #partition: number;
  #signedBy: ProducerId | undefined;
  #sequence = 0;
  #batch: PendingBatch | undefined;

  constructor(client: PlatformaticProducer, producer: TransactionalProducer, topic: string, partition: number) {
    this.#client = client;
    this.#producer = producer;
    this.#topic = topic;
    this.#partition = partition;
  }

  async send(records: readonly OutgoingRecord[]): Promise<Outcome> {
    if (this.#batch?.records !== records) this.#batch = { records, bytes: undefined };
    const batch = this.#batch;
    try {
      await this.#producer.include(this.#topic, this.#partition);
    } catch (error) {
      return { kind: "denied", error: asInfrastructureError(error) };
    }
    try {
      const company = batch.bytes === undefined ? "others" : "alone";
      const bytes = (batch.bytes ??= await this.#write(records));
      const { id: transaction } = this.#producer;
      const answer = await this.#client.produce({ topic: this.#topic, partition: this.#partition, bytes, transaction, company });
      return answer === undefined ? this.#written(batch) : this.#outcome(batch, answer);
    } catch (error) {
      this.#producer.doubt();
      this.#client.forget();
      return { kind: "again", reason: this.#client.troubleIn(error), missing: isMissing(brokerErrorName(error) ?? "") };
    }
  }

  /** Whether the broker has it is not known, so neither is the next sequence number: its transaction is given up. */
  abandon(): void {
    this.#batch = undefined;
  }

  async #write(records: readonly OutgoingRecord[]): Promise<Buffer> {
    const { producer } = this.#producer;
    if (this.#signedBy !== producer) this.#sequence = 0;
    this.#signedBy = producer;
    return await writeBatch(records, this.#client.codec, { ...producer, sequence: this.#sequence, transactional: true }, Date.now());
  }

  /** Sequence numbers begin again at 0 after 2^31 - 1. */
  #written(batch: PendingBatch): Outcome {
    if (this.#batch === batch) {
      this.#sequence = (this.#sequence + batch.records.length) & 0x7fffffff;
      this.#batch = undefined;
    }
    return WRITTEN;
  }

  #outcome(batch: PendingBatch, { name, message }: Answer): Outcome {
    const reason = `Kafka answers for ${this.#topic}/${this.#partition}: ${message} (${name})`;
    const meaning = meaningOf(name);
    if (meaning === "identity") return { kind: "denied", error: new InfrastructureError(fenced(this.#producer.id, name)) };
    if (FATAL.has(name)) return { kind: "denied", error: new InfrastructureError(`transaction ${this.#producer.id}: ${reason}`) };
    if (meaning === "written") return this.#written(batch);
    if (meaning === "again") {
      this.#producer.doubt();
      this.#client.forget();
      return { kind: "again", reason, missing: isMissing(name) };
    }
    if (meaning === "denied") return { kind: "denied", error: denial(this.#topic, message, undefined) };
    return { kind: "refused", tooLarge: isTooLarge(name), reason };
  }
}

function asInfrastructureError(error: unknown): InfrastructureError {
  return error instanceof InfrastructureError ? error : new InfrastructureError("the transaction was given up", { cause: error });
}
