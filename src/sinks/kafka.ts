import { z } from "zod";

import type { Event } from "../batch.ts";
import type { KafkaConnection } from "../connections.ts";
import type { OpenContext, Sink, SinkSpec } from "../contracts.ts";
import { DataError } from "../errors.ts";
import { createProducer } from "../kafka/create-producer.ts";
import {
  DEFAULT_MAX_MESSAGE_BYTES,
  type NewTopic,
  type ProducerSettings,
  RecordRefusedError,
  type TopicWriter,
} from "../kafka/producer.ts";
import { type OutgoingRecord, outgoingRecord } from "../kafka/record-batch-writer.ts";
import { encoderFor, FORMATS } from "../values.ts";

const KIND = "kafka";

/** Calls of one partition under way together: while one waits for its confirmation, the next ones make up a larger batch. */
const MAX_IN_FLIGHT = 8;

/** Settings of the kafka sink. */
export const kafkaSinkConfig = z.strictObject({
  /** Letters, digits, `.`, `_` and `-`: what Kafka takes as a topic's name. */
  topic: z
    .string()
    .regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/, "must be a Kafka topic: up to 249 letters, digits, dots, underscores and hyphens"),
  /** How values that are neither bytes nor text are written; default JSON. */
  format: z.enum(FORMATS).optional(),
  /** `event`: the event's key is the record's key; `none`: records have no key, and go to any partition. */
  key: z.enum(["event", "none"]).default("event"),
  /** How the key's text is written: as UTF-8, or one byte for each character, as a source with the same setting read it. */
  keyEncoding: z.enum(["utf8", "latin1"]).default("utf8"),
  compression: z.enum(["none", "gzip", "snappy", "lz4", "zstd"]).default("none"),
  /** Makes the topic if it is missing, as the broker makes topics or with so many partitions and replicas. Default false: it is waited for. */
  create: z
    .union([z.boolean(), z.strictObject({ partitions: z.int().min(1).optional(), replicas: z.int().min(1).optional() })])
    .default(false),
  /** Bytes that a batch of records, and so a single record, may have before compression; at most the topic's max.message.bytes. */
  maxMessageBytes: z.int().min(1024).max(1_000_000_000).default(DEFAULT_MAX_MESSAGE_BYTES),
});

/** What a product or a task gives; see {@link kafkaSinkConfig} for each setting. */
export type KafkaSinkSettings = z.input<typeof kafkaSinkConfig>;

type Settings = z.output<typeof kafkaSinkConfig>;

/**
 * Writes each event as a record of a topic: its key is the record's key, its time the record's timestamp, its headers the
 * record's headers. Bytes and text are written as they are, anything else as JSON unless `format` says otherwise; null and
 * undefined are tombstones. Keys are spread over partitions as Java's producer does it.
 * @throws {z.ZodError} when the settings are wrong
 */
export function kafkaSink(settings: KafkaSinkSettings): SinkSpec {
  const checked = kafkaSinkConfig.parse(settings);
  const { topic, format, key, compression } = checked;
  return {
    kind: KIND,
    description: { topic, format, key: key === "event" ? undefined : key, compression: compression === "none" ? undefined : compression },
    open: (context) => open(checked, context),
  };
}

async function open(settings: Settings, context: OpenContext): Promise<Sink> {
  const connection = context.connections.kafka;
  const { compression, maxMessageBytes } = settings;
  const lease = await context.shared.lease(producerKey(connection, settings), () =>
    createProducer(connection, { compression, maxMessageBytes }, "millrace", context.logger),
  );
  try {
    const writer = await lease.resource.topic(settings.topic, {
      create: newTopic(settings.create),
      signal: context.signal,
      waiting: availability(settings.topic, context),
    });
    return new KafkaSink(settings, writer, lease);
  } catch (error) {
    await lease[Symbol.asyncDispose]();
    throw error;
  }
}

/** Names the producer among what the process shares; without secrets. */
function producerKey({ brokers, client, sasl }: KafkaConnection, { compression, maxMessageBytes }: ProducerSettings): string {
  return JSON.stringify(["kafka producer", client, brokers, sasl?.username, compression, maxMessageBytes]);
}

function newTopic(create: Settings["create"]): NewTopic | undefined {
  return typeof create === "boolean" ? (create ? {} : undefined) : create;
}

/** Tells the operator when the topic can't be written to, and when it can again. */
function availability(topic: string, context: OpenContext): (reason: string | undefined) => void {
  return (reason) => {
    context.waiting(reason);
    if (reason === undefined) context.logger.info({ topic }, "records can be written again");
    else context.logger.warn({ topic, reason }, "records can't be written; waiting");
  };
}

class KafkaSink implements Sink {
  readonly maxInFlight = MAX_IN_FLIGHT;
  readonly #settings: Settings;
  readonly #writer: TopicWriter;
  readonly #lease: AsyncDisposable;
  readonly #encode: (value: unknown) => Uint8Array | string | null;

  constructor(settings: Settings, writer: TopicWriter, lease: AsyncDisposable) {
    this.#settings = settings;
    this.#writer = writer;
    this.#lease = lease;
    this.#encode = encoderFor(settings.format);
  }

  async write(events: readonly Event[], signal: AbortSignal): Promise<void> {
    const records: OutgoingRecord[] = [];
    for (const event of events) records.push(this.#record(event));
    try {
      await this.#writer.send(records, signal);
    } catch (error) {
      if (!(error instanceof RecordRefusedError)) throw error;
      const event = events[records.indexOf(error.record)];
      throw new DataError(KIND, event === undefined ? undefined : { origin: event.origin, offset: event.offset }, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#writer[Symbol.dispose]();
    await this.#lease[Symbol.asyncDispose]();
  }

  #record(event: Event): OutgoingRecord {
    const { key, keyEncoding } = this.#settings;
    const text = key === "none" ? undefined : event.key;
    const bytes = text === undefined || keyEncoding === "utf8" ? text : Buffer.from(text, "latin1");
    try {
      return outgoingRecord(bytes, this.#encode(event.value), event.time, event.headers);
    } catch (error) {
      throw new DataError(KIND, { origin: event.origin, offset: event.offset }, error);
    }
  }
}
