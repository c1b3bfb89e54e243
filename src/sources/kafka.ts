import { z } from "zod";

import type { Description, OpenContext, Partition, Source, SourceSpec } from "../contracts.ts";
import { DURATION_FORM, milliseconds, parseDuration } from "../duration.ts";
import { type ConsumerSettings, createConsumer, type KafkaConsumer } from "../kafka/consumer.ts";
import type { NewTopic } from "../kafka/producer.ts";
import { decoderFor, FORMATS } from "../values.ts";
import { DecodedPartition } from "./decoded-partition.ts";

const MIB = 1_048_576;

/** Heartbeats: several of them within a session, but no more than the operator's patience with a rebalance asks for. */
const LONGEST_HEARTBEAT_INTERVAL = 3000;

const topicName = z
  .string()
  .regex(/^(?!\.{1,2}$)[\w.-]{1,249}$/, "is no topic name: 1 to 249 letters, digits, dots, underscores and hyphens")
  .describe("name of a topic");

const duration = z.union([z.number(), z.string()]).refine((value) => (parseDuration(value) ?? 0) > 0, `must be ${DURATION_FORM}`);

/** What a task can set on a Kafka source. */
export const kafkaSourceConfig = z
  .strictObject({
    topic: topicName.optional(),
    topics: z.array(topicName).min(1).optional().describe("several topics, instead of `topic`"),
    group: z.string().min(1).max(255).optional().describe("consumer group; default millrace-<task id>"),
    from: z.enum(["earliest", "latest"]).default("earliest").describe("where a partition begins that the group has no position for"),
    format: z.enum(FORMATS).optional().describe("decodes values here; without it they are bytes"),
    keyEncoding: z.enum(["utf8", "latin1"]).default("utf8").describe("how the bytes of a key become text"),
    onOutOfRange: z
      .enum(["fail", "earliest", "latest"])
      .default("fail")
      .describe("what happens when a position is not in the log any more (or not yet): fail, or go on there and report the gap"),
    create: z
      .union([
        z.boolean(),
        z.strictObject({ partitions: z.int().min(1).max(10_000).optional(), replicas: z.int().min(1).max(32).optional() }),
      ])
      .default(false)
      .describe("make the topic when it is missing, with the broker's defaults or as given"),
    maxWaiting: z
      .int()
      .min(65_536)
      .max(1024 * MIB)
      .default(MIB)
      .describe("bytes of records that wait in memory for each partition"),
    sessionTimeout: duration.default("10s").describe("a member that the broker does not hear of for that long is expelled"),
    rebalanceTimeout: duration.default("60s").describe("how long a rebalance waits for work in flight to be written"),
  })
  .refine(({ topic, topics }) => (topic === undefined) !== (topics === undefined), 'give either "topic" or "topics"');

/** Settings of `kafkaSource`: exactly one of `topic` and `topics`, and what is to differ from the defaults. */
export type KafkaSourceSettings = z.input<typeof kafkaSourceConfig>;

/**
 * Events of Kafka topics. A value is the record's bytes (null for a tombstone) unless `format` decodes it; the key is text,
 * the time is the record's timestamp. Aborted transactions are never read.
 *
 * The instances of a task share a consumer group. In debug mode no group is joined and nothing is committed: every
 * partition is read from where `from` says, always through @platformatic/kafka.
 * @throws {z.ZodError} when the settings are wrong
 */
export function kafkaSource(settings: KafkaSourceSettings): SourceSpec {
  const config = kafkaSourceConfig.parse(settings);
  const topics = config.topics ?? [config.topic as string];
  const description: Description = {
    topics: topics.join(", "),
    group: config.group,
    from: config.from,
    format: config.format,
    keyEncoding: config.keyEncoding === "utf8" ? undefined : config.keyEncoding,
    onOutOfRange: config.onOutOfRange,
  };
  return {
    kind: "kafka",
    description,
    finite: false,
    timestamps: true,
    partitioned: true,
    format: config.format,
    open: async (context) => {
      const consumer = await createConsumer(consumerSettings(config, topics, context), {
        connection: context.connections.kafka,
        shared: context.shared,
        clientId: `millrace-${context.task.id}-${context.task.instance}`,
        logger: context.logger,
        clock: context.clock,
        signal: context.signal,
        waiting: (reason) => context.waiting(reason),
      });
      return new KafkaSource(consumer, config.format);
    },
  };
}

function consumerSettings(config: z.output<typeof kafkaSourceConfig>, topics: readonly string[], context: OpenContext): ConsumerSettings {
  const sessionTimeout = milliseconds(config.sessionTimeout, "sessionTimeout");
  return {
    topics,
    group: context.mode === "debug" ? undefined : (config.group ?? `millrace-${context.task.id}`),
    create: newTopic(config.create),
    from: config.from,
    onOutOfRange: config.onOutOfRange,
    keyEncoding: config.keyEncoding,
    maxWaiting: config.maxWaiting,
    sessionTimeout,
    rebalanceTimeout: Math.max(milliseconds(config.rebalanceTimeout, "rebalanceTimeout"), sessionTimeout),
    heartbeatInterval: Math.min(sessionTimeout / 3, LONGEST_HEARTBEAT_INTERVAL),
  };
}

function newTopic(create: z.output<typeof kafkaSourceConfig>["create"]): NewTopic | undefined {
  if (typeof create === "boolean") return create ? {} : undefined;
  return create;
}

class KafkaSource implements Source {
  readonly #consumer: KafkaConsumer;
  readonly #format: z.output<typeof kafkaSourceConfig>["format"];

  constructor(consumer: KafkaConsumer, format: z.output<typeof kafkaSourceConfig>["format"]) {
    this.#consumer = consumer;
    this.#format = format;
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition, void, undefined> {
    const format = this.#format;
    for await (const partition of this.#consumer.partitions(stop)) {
      // A decoder belongs to one partition: that of CSV remembers the heading.
      yield format === undefined ? partition : new DecodedPartition(partition, decoderFor(format));
    }
  }

  lag(): number | undefined {
    return this.#consumer.lag();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#consumer[Symbol.asyncDispose]();
  }
}
