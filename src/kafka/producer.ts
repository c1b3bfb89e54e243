/**
 * The port for production: what a sink is written against, and what is common to both clients.
 */
import { MillraceError } from "../errors.ts";
import type { Codec } from "./codecs.ts";
import type { OutgoingRecord } from "./outgoing-record.ts";

/** Bytes that a batch may have before compression, if nothing else is said: Kafka's default for a topic is 1,048,588 after it. */
export const DEFAULT_MAX_MESSAGE_BYTES = 1_000_000;

/** How a producer writes. Topics and pipelines that want the same share one. */
export interface ProducerSettings {
  readonly compression: Codec | "none";
  /** Bytes that a batch may have before compression. */
  readonly maxMessageBytes: number;
}

/** What a topic is made with when it is missing; the broker's own settings for what is not given. */
export interface NewTopic {
  readonly partitions?: number | undefined;
  readonly replicas?: number | undefined;
}

/** How a topic is opened. */
export interface TopicOptions {
  /** Makes the topic when it is missing; without it that is an error. */
  readonly create: NewTopic | undefined;
  /** Ends the wait for a broker. */
  readonly signal: AbortSignal;
  /** Told why records of the topic can't be written now, and undefined when they can again. */
  readonly waiting: (reason: string | undefined) => void;
}

/**
 * Writes records to the topics of one cluster: idempotent, confirmed by all replicas in sync, in order for each
 * partition. Outages are waited out. Shared by all pipelines of a process.
 *
 * Nothing is written twice over a broker's crash, with one exception that is Kafka's own: a broker that starts forgets the
 * producers whose last records have timestamps older than `producer.id.expiration.ms` (a day), so a batch of old records
 * whose confirmation was lost in the crash is written again.
 */
export interface KafkaProducer extends AsyncDisposable {
  /**
   * Opens a topic, when a broker is there.
   * @throws {NotReadyError} when it doesn't exist, naming it
   */
  topic(name: string, options: TopicOptions): Promise<TopicWriter>;
}

/** One user's way into a topic. */
export interface TopicWriter extends Disposable {
  /**
   * Writes records, and settles when all are confirmed. Records with the same key (without a key: those of one call) get
   * to their partition in the order given, and in the order of calls. The array and its records then belong to the writer.
   *
   * Nothing is sent when a record is too large from the start. Where the broker refuses one, the others may have been
   * written; those behind it for the same partition are not.
   * @throws {RecordRefusedError} when the broker will never take a record
   * @throws {NotReadyError} when the topic is gone
   * @throws {InfrastructureError} when the broker refuses to let us write
   * @throws the signal's reason, when it aborts first
   */
  send(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<void>;
}

/** A record that a broker will never take. */
export class RecordRefusedError extends MillraceError {
  override readonly name = "RecordRefusedError";
  /** Which of the records of the call it was. */
  readonly record: OutgoingRecord;

  constructor(record: OutgoingRecord, what: string) {
    super(what);
    this.record = record;
  }
}
