import { z } from "zod";

import { abortable } from "../abortable.ts";
import type { Event } from "../batch.ts";
import type { KafkaConnection } from "../connections.ts";
import type { Lease, OpenContext, Partition, Refuse, Sink, SinkSpec, Transacted } from "../contracts.ts";
import { PlannedStop } from "../errors.ts";
import type { OutgoingRecord } from "../kafka/outgoing-record.ts";
import type { KafkaProducer, NewTopic, ProducerSettings, TopicWriter } from "../kafka/producer.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../kafka/producer.ts";
import type { Transactions } from "../kafka/transactions.ts";
import { ResultIds } from "../result-ids.ts";
import { FORMATS } from "../values.ts";
import { KIND, ofItsEvent, RecordMaker } from "./kafka-records.ts";
import { transactedBy } from "./kafka-transactions.ts";
import { KafkaLetterBox } from "./letters/kafka-box.ts";
import { throwRefused } from "./refused.ts";

/** Calls of one partition under way together: while one waits for its confirmation, the next ones make up a larger batch. */
const MAX_IN_FLIGHT = 8;

/** How long opening waits for an absent broker, in milliseconds; longer is waited at the first write, which a stop can end. */
const OPEN_PATIENCE = 2000;

const count = z.int().min(1).optional();

/** Settings of the Kafka sink. */
export const kafkaSinkConfig = z.strictObject({
  topic: z
    .string()
    .regex(/^(?!\.{1,2}$)[\w.-]{1,249}$/, "is no topic name: 1 to 249 letters, digits, dots, underscores and hyphens")
    .describe("topic to write to"),
  format: z.enum(FORMATS).optional().describe("how values that are neither bytes nor text are written; default JSON"),
  key: z.enum(["event", "none"]).default("event").describe("whether the event's key is the record's key, or records have none"),
  keyEncoding: z.enum(["utf8", "latin1"]).default("utf8").describe("how the text of a key becomes bytes; as the source read it"),
  compression: z.enum(["none", "gzip", "snappy", "lz4", "zstd"]).default("none").describe("how record batches are compressed"),
  ids: z.boolean().default(true).describe("whether records carry the id of the result in the header millrace-id"),
  create: z
    .union([z.boolean(), z.strictObject({ partitions: count, replicas: count })])
    .default(false)
    .describe("make the topic when it is missing, as the broker does by default or with so many partitions and replicas"),
  maxMessageBytes: z
    .int()
    .min(1024)
    .max(1_000_000_000)
    .default(DEFAULT_MAX_MESSAGE_BYTES)
    .describe("bytes that a record, and a batch of them, may have before compression; at most the topic's max.message.bytes"),
  delivery: z
    .enum(["at-least-once", "exactly-once"])
    .default("at-least-once")
    .describe("exactly-once (experimental): records and the positions of a kafka source in one transaction, for steps without state"),
});

/** What a product or a task gives; see {@link kafkaSinkConfig} for each setting. */
export type KafkaSinkSettings = z.input<typeof kafkaSinkConfig>;

type Settings = z.output<typeof kafkaSinkConfig>;

/**
 * Writes each event as a record of a topic: its key is the record's key, its time the record's timestamp, its headers the
 * record's headers, and the result's id the header `millrace-id`: it is the same when a crash makes the event be written again. Bytes and text are written as they are, anything else as JSON unless `format` says otherwise; null and
 * undefined are tombstones. Keys are spread over partitions as Java's producer does it.
 *
 * With the delivery `exactly-once` they become visible together with the positions of a Kafka source, to readers of what is
 * committed (`isolation.level=read_committed`): at most once a fifth of a second for each partition that is read.
 * @throws {z.ZodError} when the settings are wrong
 */
export function kafkaSink(settings: KafkaSinkSettings): SinkSpec {
  const checked = kafkaSinkConfig.parse(settings);
  const { topic, format, key, compression } = checked;
  const delivery = checked.delivery === "exactly-once" ? checked.delivery : undefined;
  return {
    kind: KIND,
    description: {
      topic,
      format,
      key: key === "event" ? undefined : key,
      compression: compression === "none" ? undefined : compression,
      delivery,
    },
    transactsWith: delivery && "kafka",
    open: (context) => open(checked, context),
    openLetters: async (context) => {
      // Letters are bytes, have ids of their own, and belong to no transaction.
      const sink = await open({ ...checked, format: undefined, ids: false, delivery: "at-least-once" }, context);
      return new KafkaLetterBox(topic, sink, context);
    },
  };
}

async function open(settings: Settings, context: OpenContext): Promise<Sink> {
  const connection = context.connections.kafka;
  const { compression, maxMessageBytes } = settings;
  const transactions = await openTransactions(settings, context);
  // Loaded when it is needed: a plan that names Kafka must cost nothing while it is only looked at.
  const { createProducer } = await import("../kafka/create-producer.ts");
  const lease = await context.shared.lease(producerKey(connection, settings), () =>
    createProducer(connection, { compression, maxMessageBytes }, "millrace", context.logger),
  );
  const sink = new KafkaSink(settings, lease, transactions, context);
  try {
    await sink.prepare();
  } catch (error) {
    await sink[Symbol.asyncDispose]();
    throw error;
  }
  return sink;
}

/** In debug mode positions are not written and the running task must not lose its transactions: records are written as otherwise. */
async function openTransactions(settings: Settings, context: OpenContext): Promise<Transactions | undefined> {
  if (settings.delivery === "at-least-once" || context.mode === "debug") return undefined;
  const { Transactions } = await import("../kafka/transactions.ts");
  return await Transactions.open(settings, settings.topic, context);
}

/** Names the producer among what the process shares; without secrets. */
function producerKey({ brokers, client, sasl }: KafkaConnection, { compression, maxMessageBytes }: ProducerSettings): string {
  return JSON.stringify(["kafka producer", client, brokers, sasl?.username, compression, maxMessageBytes]);
}

function newTopic(create: Settings["create"]): NewTopic | undefined {
  if (typeof create !== "boolean") return create;
  return create ? {} : undefined;
}

class KafkaSink implements Sink {
  readonly maxInFlight = MAX_IN_FLIGHT;
  readonly #settings: Settings;
  readonly #lease: Lease<KafkaProducer>;
  readonly #context: OpenContext;
  readonly #maker: RecordMaker;
  readonly #transactions: Transactions | undefined;
  #writer: TopicWriter | undefined;
  #opening: Promise<void> | undefined;
  readonly #closed = new AbortController();
  #waiting = false;

  /** Only where the sink works in transactions. */
  readonly transact: ((partition: Partition) => Transacted) | undefined;

  /** @param lease and transactions belong to the sink */
  constructor(settings: Settings, lease: Lease<KafkaProducer>, transactions: Transactions | undefined, context: OpenContext) {
    this.#settings = settings;
    this.#lease = lease;
    this.#context = context;
    this.#maker = new RecordMaker(settings, settings.ids ? new ResultIds(context.task.id, context.part ?? "sink") : undefined);
    this.#transactions = transactions;
    this.transact = transactions && ((partition) => transactedBy(transactions, partition, settings.topic, this.#maker));
  }

  async prepare(): Promise<void> {
    const { clock, signal } = this.#context;
    const patience = new AbortController();
    const cancel = clock.after(OPEN_PATIENCE, () => patience.abort());
    try {
      await this.#open(AbortSignal.any([signal, patience.signal]));
    } catch (error) {
      if (!patience.signal.aborted || signal.aborted) throw error;
      // So that the operator is told when the broker is back, also where there is nothing to write. What fails then fails the first write.
      this.#openOnce(this.#closed.signal).catch(() => undefined);
    } finally {
      cancel();
    }
  }

  async write(events: readonly Event[], signal: AbortSignal, refuse: Refuse = throwRefused): Promise<void> {
    const { records, sent, end } = this.#maker.recordsOf(events, refuse);
    await this.#send(records, sent, signal);
    if (end !== undefined) throw end.thrown;
  }

  async #send(records: readonly OutgoingRecord[], events: readonly Event[], signal: AbortSignal): Promise<void> {
    if (this.#writer === undefined) await this.#openOnce(signal);
    try {
      await (this.#writer as TopicWriter).send(records, signal);
    } catch (error) {
      throw ofItsEvent(error, records, events);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new PlannedStop("the sink is closed"));
    this.#writer?.[Symbol.dispose]();
    await this.#transactions?.[Symbol.asyncDispose]();
    await this.#lease[Symbol.asyncDispose]();
  }

  /** Calls that come meanwhile wait for the same, and go on in their order; each can be given up by itself. */
  async #openOnce(signal: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([this.#context.signal, this.#closed.signal]);
    this.#opening ??= this.#open(ended).finally(() => (this.#opening = undefined));
    await abortable(this.#opening, signal);
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { topic, create } = this.#settings;
    const waiting = (reason: string | undefined) => this.#report(reason);
    this.#writer = await this.#lease.resource.topic(topic, { create: newTopic(create), signal, waiting });
    this.#report(undefined);
  }

  /** Tells the operator when records can't be written, and when they can again. */
  #report(reason: string | undefined): void {
    const { topic } = this.#settings;
    if ((reason !== undefined) === this.#waiting) return;
    this.#waiting = reason !== undefined;
    this.#context.waiting(reason === undefined ? undefined : `sink kafka ${topic}: ${reason}`);
    if (reason === undefined) this.#context.logger.info({ topic }, "records can be written again");
    else this.#context.logger.warn({ topic, reason }, "records can't be written; waiting");
  }
}
