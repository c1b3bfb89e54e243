/**
 * What a Kafka client has to give for production: one batch to one partition at a time, and an honest answer.
 */
import { InfrastructureError } from "../errors.ts";
import type { OutgoingRecord } from "./outgoing-record.ts";
import type { NewTopic } from "./producer.ts";

/** Whom the broker knows a producer as. */
export interface ProducerId {
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

/** How one attempt to write a batch ended. */
export type Outcome =
  | { readonly kind: "written" }
  /** It may have been written or not: sending the same batch once more through the same writer writes it once. */
  | { readonly kind: "again"; readonly reason: string; readonly missing?: boolean }
  /** It was not written and never will be as it is; a part of it may be. */
  | { readonly kind: "refused"; readonly tooLarge: boolean; readonly reason: string }
  /** It was not written, for a reason that has nothing to do with the records. */
  | { readonly kind: "denied"; readonly error: InfrastructureError };

export const WRITTEN: Outcome = { kind: "written" };

/** Writes the batches of one partition, one after the other. */
export interface PartitionWriter {
  /** Tries once. A batch is given again until its outcome is not `again`, before the next one is. Doesn't throw. */
  send(records: readonly OutgoingRecord[]): Promise<Outcome>;
  /** The batch whose last outcome was `again`, or that is still under way, is not given again. Harmless when there is none. */
  abandon(): void;
}

/** A client's connection to a cluster, for production. */
export interface ProducerClient extends AsyncDisposable {
  /** Records that a batch should have at most, besides its limit in bytes. */
  readonly maxBatchRecords: number;
  /**
   * How many partitions a topic has; undefined when it does not exist.
   * @throws when no broker answers, or it refuses
   */
  partitions(topic: string): Promise<number | undefined>;
  /** Makes a topic, unless it exists. */
  createTopic(topic: string, settings: NewTopic): Promise<void>;
  writer(topic: string, partition: number): PartitionWriter;
}

/** The names of the broker's answers (https://kafka.apache.org/protocol#protocol_error_codes) that tell an outcome other than `again`. */
const REFUSALS: ReadonlySet<string> = new Set(["INVALID_RECORD", "INVALID_TIMESTAMP", "MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);
const DENIALS: ReadonlySet<string> = new Set([
  "CLUSTER_AUTHORIZATION_FAILED",
  "INVALID_REQUIRED_ACKS",
  "INVALID_TOPIC_EXCEPTION",
  "POLICY_VIOLATION",
  "TOPIC_AUTHORIZATION_FAILED",
  "UNSUPPORTED_COMPRESSION_TYPE",
  "UNSUPPORTED_FOR_MESSAGE_FORMAT",
  "UNSUPPORTED_VERSION",
]);

/** The broker no longer knows the producer, or misses batches of it: the batch was not written, and a new identity is needed. */
const IDENTITY_LOSSES: ReadonlySet<string> = new Set([
  "INVALID_PRODUCER_EPOCH",
  "INVALID_PRODUCER_ID_MAPPING",
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "PRODUCER_FENCED",
  "UNKNOWN_PRODUCER_ID",
]);

/** What the name of an error that the broker answered means for a batch. */
export function meaningOf(name: string): "written" | "refused" | "denied" | "identity" | "again" {
  // The broker has it, too long ago to say where.
  if (name === "DUPLICATE_SEQUENCE_NUMBER") return "written";
  if (REFUSALS.has(name)) return "refused";
  if (DENIALS.has(name)) return "denied";
  return IDENTITY_LOSSES.has(name) ? "identity" : "again";
}

/** Whether a refusal is about size, so that a smaller batch may pass. */
export function isTooLarge(name: string): boolean {
  return name === "MESSAGE_TOO_LARGE" || name === "RECORD_LIST_TOO_LARGE";
}

/** Whether the broker does not know the topic or the partition (yet, or any more). */
export function isMissing(name: string): boolean {
  return name === "UNKNOWN_TOPIC_OR_PARTITION" || name === "UNKNOWN_TOPIC_ID";
}

/** The error for a broker that does not let us write. */
export function denial(topic: string, what: string, cause: unknown): InfrastructureError {
  return new InfrastructureError(`Kafka does not let us write to topic "${topic}": ${what}`, { cause });
}
