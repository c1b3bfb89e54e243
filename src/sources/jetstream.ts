import { z } from "zod";

import type { Lease, OpenContext, Partition, Source, SourceOptions, SourceSpec } from "../contracts.ts";
import { DURATION_FORM, milliseconds, parseDuration } from "../duration.ts";
import { JetStreamApi } from "../nats/api.ts";
import type { NatsLink } from "../nats/connection.ts";
import { leaseLink } from "../nats/connection.ts";
import type { WantedConsumer } from "../nats/consumers.ts";
import { DurableConsumer } from "../nats/durable-consumer.ts";
import { EventMaker, KEY_HEADER } from "../nats/events.ts";
import { ownedPartitions } from "../nats/owned-partitions.ts";
import type { JetStreamPartition, PartitionParts } from "../nats/partition-parts.ts";
import { replayPartition } from "../nats/replay-partition.ts";
import { SharedPartition } from "../nats/shared-partition.ts";
import { asName, FILTER_FORM, NAME_FORM } from "../nats/subjects.ts";
import { decoderFor } from "../values.ts";
import { DecodedPartition } from "./decoded-partition.ts";

const MIB = 1_048_576;
/** Messages that wait for each partition. */
const PREFETCH = 4096;
/** Messages under way of a consumer that instances share, where the task says nothing. */
const MAX_ACK_PENDING = 65_536;
/** How long a refused acknowledgement is told after the last one, at most. In milliseconds. */
const LONGEST_DENIAL = 3_600_000;
/** An owner's messages are never delivered to another while it lives, so there is nothing to hurry it for. */
const OWNED_ACK_WAIT = "7d";

const filter = z
  .string()
  .regex(FILTER_FORM, "is no subject: tokens with dots between, without spaces")
  .describe("a subject; * and > are wildcards");
const duration = z.union([z.number(), z.string()]).refine((value) => (parseDuration(value) ?? 0) >= 1, `must be ${DURATION_FORM}`);

/** What a task can set on a JetStream source. */
export const jetstreamSourceConfig = z
  .strictObject({
    stream: z.string().regex(NAME_FORM, "is no name of a stream: no spaces, dots, *, >, / or \\"),
    subject: filter.optional(),
    subjects: z.array(filter).min(1).optional().describe("several subjects, instead of `subject`; without either: all of the stream"),
    consumer: z
      .string()
      .regex(NAME_FORM, "is no name of a consumer: no spaces, dots, *, >, / or \\")
      .optional()
      .describe("durable consumer; default millrace-<task id>"),
    create: z
      .boolean()
      .default(false)
      .describe(
        "make the stream (of the given subjects) and the consumer when they are missing, and keep the consumer's settings like the task's",
      ),
    from: z.enum(["earliest", "latest"]).default("earliest").describe("where a consumer begins that is created"),
    format: z.enum(["json", "text", "bytes", "msgpack", "csv"]).optional().describe("decodes values here; without it they are bytes"),
    key: z
      .union([
        z.literal("subject"),
        z.strictObject({ header: z.string().min(1) }),
        z.strictObject({ subject: z.int().min(0).describe("which token of the subject, from 0") }),
      ])
      .default({ header: KEY_HEADER })
      .describe("where an event's key is"),
    ackWait: duration
      .optional()
      .describe("when the server delivers again what nobody answers for; default 30s, of a consumer that one instance owns 7d"),
    maxAckPending: z
      .int()
      .min(1)
      .optional()
      .describe(`messages under way over all instances, default ${MAX_ACK_PENDING}; a consumer that one instance owns has no limit`),
    maxDeliver: z.int().min(1).optional().describe("how often the server delivers a message at most; default: until it is acknowledged"),
    retryAfter: duration.default("5s").describe("when a message is delivered again that a failing pipeline gave up"),
    takeover: duration.default("15s").describe("how long the owner of a consumer may be silent until another instance takes over"),
    maxWaiting: z
      .int()
      .min(65_536)
      .max(1024 * MIB)
      .default(4 * MIB)
      .describe("bytes of messages that wait in memory; at least two of the largest that the server takes"),
  })
  .refine(({ subject, subjects }) => subject === undefined || subjects === undefined, 'give either "subject" or "subjects"');

/** Settings of `jetstreamSource`: the stream, and what is to differ from the defaults. */
export type JetStreamSourceSettings = z.input<typeof jetstreamSourceConfig>;

type Config = z.output<typeof jetstreamSourceConfig>;

/**
 * Events of a JetStream stream. A value is the payload's bytes unless `format` decodes it, the time is when the stream stored
 * the message, the offset its sequence number. NATS knows no keys: `key` says where they are, by default in the header
 * `Millrace-Key`, where the JetStream sink writes them.
 *
 * The instances of a task without state share one durable consumer, each message goes to one of them and is acknowledged by
 * itself after the sinks: there is no order over instances, and none after something was delivered again. A pipeline that
 * keeps state owns its consumer alone (a pinned client, nats-server 2.14 or newer): order is the stream's, other instances
 * stand by, and one of them takes over when the owner stops or has been silent for `takeover`.
 *
 * In debug mode the durable consumer is left alone: messages are read from where it is, or else from `from`, and not acknowledged.
 * @throws {z.ZodError} when the settings are wrong
 */
export function jetstreamSource(settings: JetStreamSourceSettings): SourceSpec {
  const config = jetstreamSourceConfig.parse(settings);
  const subjects = config.subjects ?? (config.subject === undefined ? [] : [config.subject]);
  return {
    kind: "jetstream",
    description: {
      stream: config.stream,
      subjects: subjects.length === 0 ? undefined : subjects.join(", "),
      consumer: config.consumer,
      from: config.from,
      format: config.format,
    },
    finite: false,
    timestamps: true,
    partitioned: false,
    format: config.format,
    open: async (context, options) => new JetStreamSource(config, subjects, context, options, await leaseLink(context)),
  };
}

class JetStreamSource implements Source {
  readonly #config: Config;
  readonly #wanted: WantedConsumer;
  readonly #context: OpenContext;
  readonly #lease: Lease<NatsLink>;
  readonly #unwatch: readonly (() => void)[];
  #partition: JetStreamPartition | undefined;

  constructor(config: Config, subjects: readonly string[], context: OpenContext, options: SourceOptions, lease: Lease<NatsLink>) {
    this.#config = config;
    this.#context = context;
    this.#wanted = wantedConsumer(config, subjects, context, options);
    this.#lease = lease;
    const link = lease.resource;
    this.#unwatch = [link.watch((_, reason) => context.waiting(reason)), ...watchDenials(link, this.#wanted, context)];
    if (link.reason !== undefined) context.waiting(link.reason);
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition, void, undefined> {
    const { format } = this.#config;
    try {
      for await (const partition of this.#partitions(stop)) {
        this.#partition = partition;
        yield format === undefined ? partition : new DecodedPartition(partition, decoderFor(format));
      }
    } catch (error) {
      // The stop interrupted a wait.
      if (!stop.aborted || error !== stop.reason) throw error;
    }
  }

  lag(): number | undefined {
    const partition = this.#partition;
    if (partition === undefined) return undefined;
    const instances = this.#wanted.owned ? 1 : this.#context.task.instances;
    return Math.ceil(partition.pending / instances) + partition.held;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const unwatch of this.#unwatch) unwatch();
    await this.#lease[Symbol.asyncDispose]();
  }

  async *#partitions(stop: AbortSignal): AsyncGenerator<JetStreamPartition, void, undefined> {
    const { clock, logger, mode, signal } = this.#context;
    const waiting = (reason: string | undefined) => this.#context.waiting(reason);
    const api = new JetStreamApi(this.#lease.resource, clock, waiting);
    const parts: PartitionParts = {
      api,
      wanted: this.#wanted,
      consumer: new DurableConsumer(api, this.#wanted, logger),
      limits: { messages: PREFETCH, bytes: this.#config.maxWaiting },
      events: new EventMaker(this.#wanted.stream, this.#config.key),
      clock,
      logger,
      retryAfter: milliseconds(this.#config.retryAfter, "retryAfter"),
      stop: AbortSignal.any([stop, signal]),
      waiting,
    };
    if (mode === "debug") yield await replayPartition(parts);
    else if (this.#wanted.owned) yield* ownedPartitions(parts);
    else yield new SharedPartition(parts, await parts.consumer.find(parts.stop));
    await aborted(parts.stop);
  }
}

function wantedConsumer(config: Config, subjects: readonly string[], context: OpenContext, options: SourceOptions): WantedConsumer {
  const owned = options.stateful;
  return {
    task: context.task.id,
    stream: config.stream,
    name: config.consumer ?? asName(`millrace-${context.task.id}`),
    subjects,
    create: config.create,
    from: config.from,
    ackWait: milliseconds(config.ackWait ?? (owned ? OWNED_ACK_WAIT : "30s"), "ackWait"),
    maxAckPending: owned ? -1 : (config.maxAckPending ?? MAX_ACK_PENDING),
    maxDeliver: config.maxDeliver ?? -1,
    explicit: {
      ackWait: config.ackWait !== undefined,
      maxAckPending: !owned && config.maxAckPending !== undefined,
      maxDeliver: config.maxDeliver !== undefined,
    },
    owned,
    takeover: milliseconds(config.takeover, "takeover"),
  };
}

/** Without these permissions of its user nothing comes, or everything comes again and again, and nothing else would say so. */
function watchDenials(link: NatsLink, { stream, name, ackWait }: WantedConsumer, context: OpenContext): (() => void)[] {
  const tell = (reason: string | undefined) => context.waiting(reason);
  const consumer = context.mode === "debug" ? "*" : name;
  // Until what is not acknowledged has come again, and was refused again.
  const lasts = Math.min(2 * Math.max(ackWait, 30_000), LONGEST_DENIAL);
  const again = "no message can be acknowledged and each comes again";
  return [
    link.denials.watch(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, "no message can be asked for", tell),
    link.denials.watch(`$JS.ACK.${stream}.${consumer}.>`, again, tell, lasts),
    // With the domain and the account.
    link.denials.watch(`$JS.ACK.*.*.${stream}.${consumer}.>`, again, tell, lasts),
  ];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
