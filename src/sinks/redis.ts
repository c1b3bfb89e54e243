import type { ChainableCommander } from "ioredis";
import { z } from "zod";

import type { Event } from "../batch.ts";
import type { Lease, OpenContext, Sink, SinkSpec } from "../contracts.ts";
import { DataError, InfrastructureError, messageOf } from "../errors.ts";
import type { RedisConnectionHandle } from "../redis/connection.ts";
import { encoderFor, FORMATS } from "../values.ts";
import { Outage } from "./outage.ts";
import { Queue } from "./queue.ts";

const key = z.string().min(1).max(1024);

/** What a task can set on a Redis sink. */
export const redisSinkConfig = z
  .strictObject({
    url: z
      .string()
      .regex(/^rediss?:\/\//, "must be redis://… or rediss://…")
      .optional()
      .describe("default the redis.url of the settings"),
    stream: key.optional().describe("XADD, an entry for each event with the fields key, time and value"),
    list: key.optional().describe("RPUSH of each value"),
    channel: key.optional().describe("PUBLISH of each value; nobody need listen"),
    hash: key.optional().describe("HSET of the event's key to its value; a tombstone deletes"),
    maxLength: z.int().min(1).optional().describe("for stream (about) and list: the oldest ones beyond it are dropped"),
    format: z.enum(FORMATS).optional(),
  })
  .refine(
    (config) => TARGETS.filter((name) => config[name] !== undefined).length === 1,
    "give exactly one of stream, list, channel or hash",
  )
  .refine(
    ({ maxLength, stream, list }) => maxLength === undefined || stream !== undefined || list !== undefined,
    "maxLength is for stream and list",
  );

const TARGETS = ["stream", "list", "channel", "hash"] as const;

/** Settings of `redisSink`. */
export type RedisSinkSettings = z.input<typeof redisSinkConfig>;
type Settings = z.output<typeof redisSinkConfig>;

const STEP = "sink redis";

/**
 * Writes events to a stream, list, channel or hash of Redis, each batch in one transaction. What Redis can't take for what
 * it is (a key of another type, no key for a hash) is a data error; a full memory or an outage is waited out. After an outage
 * the batch that was under way may stand there twice.
 * @throws {z.ZodError} when the settings are wrong
 */
export function redisSink(settings: RedisSinkSettings): SinkSpec {
  const config = redisSinkConfig.parse(settings);
  const target = TARGETS.find((name) => config[name] !== undefined) ?? "stream";
  return {
    kind: "redis",
    description: { [target]: config[target], maxLength: config.maxLength, format: config.format },
    open: async (context) => {
      const url = config.url ?? context.connections.redis.url;
      // Loaded when it is needed: a plan that names Redis must cost nothing while it is only looked at.
      const connection = await import("../redis/connection.ts");
      const lease = await context.shared.lease(connection.redisLeaseKey(url), async () => new connection.RedisConnectionHandle(url));
      return new RedisSink(lease, commandsFor(config), context, config[target] ?? "");
    },
  };
}

type Encoded = Uint8Array | string | null;
type Add = (pipeline: ChainableCommander, event: Event, value: Encoded) => void;

interface Entry {
  readonly event: Event;
  readonly value: Encoded;
}

interface Commands {
  readonly encode: (value: unknown) => Encoded;
  /** @throws TypeError when there is no command for the event */
  readonly check: (event: Event) => void;
  readonly add: Add;
  /** A command after those of the events, such as one that trims. */
  readonly finish: (pipeline: ChainableCommander) => void;
}

function commandsFor(config: Settings): Commands {
  const { stream, list, channel, hash, maxLength } = config;
  const encode = encoderFor(config.format);
  const nothing = () => undefined;
  const plain = { encode, check: nothing, finish: nothing };
  if (stream !== undefined) return { ...plain, add: addToStream(stream, maxLength) };
  if (channel !== undefined) return { ...plain, add: (pipeline, _event, value) => void pipeline.publish(channel, bytesOf(value)) };
  if (hash !== undefined) return { ...plain, check: hasKey, add: setInHash(hash) };
  const name = list ?? "";
  const trim = maxLength === undefined ? nothing : (pipeline: ChainableCommander) => void pipeline.ltrim(name, -maxLength, -1);
  return { ...plain, add: (pipeline, _event, value) => void pipeline.rpush(name, bytesOf(value)), finish: trim };
}

function addToStream(stream: string, maxLength: number | undefined): Add {
  return (pipeline, event, value) => {
    const fields: (string | Buffer)[] = ["value", bytesOf(value)];
    if (event.key !== undefined) fields.unshift("key", event.key);
    if (!Number.isNaN(event.time)) fields.unshift("time", String(event.time));
    if (maxLength === undefined) pipeline.xadd(stream, "*", ...fields);
    else pipeline.xadd(stream, "MAXLEN", "~", maxLength, "*", ...fields);
  };
}

function hasKey(event: Event): void {
  if (event.key === undefined) throw new TypeError("a hash needs the event's key; set one with keyBy");
}

function setInHash(hash: string): Add {
  return (pipeline, { key = "" }, value) => {
    if (value === null) pipeline.hdel(hash, key);
    else pipeline.hset(hash, key, bytesOf(value));
  };
}

/** The client takes bytes as a Buffer only. */
function bytesOf(value: Encoded): string | Buffer {
  if (value === null) return "";
  return typeof value === "string" || Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

class RedisSink implements Sink {
  readonly #lease: Lease<RedisConnectionHandle>;
  readonly #commands: Commands;
  readonly #outage: Outage;
  readonly #queue = new Queue();
  #closed: Promise<void> | undefined;

  constructor(lease: Lease<RedisConnectionHandle>, commands: Commands, context: OpenContext, name: string) {
    this.#lease = lease;
    this.#commands = commands;
    this.#outage = new Outage(`redis ${name}`, context);
  }

  write(events: readonly Event[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal, () => this.#writeAll(events, signal));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#queue.idle().then(() => this.#lease[Symbol.asyncDispose]());
    return this.#closed;
  }

  async #writeAll(events: readonly Event[], signal: AbortSignal): Promise<void> {
    const { entries, refused } = this.#encoded(events);
    if (entries.length > 0) await this.#outage.waitOut(signal, () => this.#transact(entries));
    if (refused !== undefined) throw refused;
  }

  /** The events up to the first one that can't be written. */
  #encoded(events: readonly Event[]): { entries: readonly Entry[]; refused: DataError | undefined } {
    const entries: Entry[] = [];
    for (const event of events) {
      try {
        const value = this.#commands.encode(event.value);
        this.#commands.check(event);
        entries.push({ event, value });
      } catch (error) {
        return { entries, refused: new DataError(STEP, event, error) };
      }
    }
    return { entries, refused: undefined };
  }

  /** All or nothing: were some commands taken and others not, trying again would change the order. */
  async #transact(entries: readonly Entry[]): Promise<void> {
    const redis = this.#lease.resource;
    await redis.ready();
    const transaction = redis.client.multi();
    for (const { event, value } of entries) this.#commands.add(transaction, event, value);
    this.#commands.finish(transaction);
    let replies: readonly (readonly [Error | null, unknown])[] | null;
    try {
      replies = await transaction.exec();
    } catch (error) {
      throw this.#failure(error);
    }
    if (replies === null) throw new InfrastructureError("Redis: the transaction was discarded");
    const failed = replies.findIndex(([error]) => error !== null);
    // Only what is in a command fails behind EXEC, such as a key of another type: the rest has been done.
    if (failed !== -1) throw new DataError(STEP, entries[Math.min(failed, entries.length - 1)]?.event, replies[failed]?.[0]);
  }

  #failure(error: unknown): InfrastructureError {
    // EXECABORT hides why; what was queued before it says it: a full memory, a replica that takes no writes.
    const previous = error instanceof Error && "previousErrors" in error ? (error.previousErrors as readonly Error[]) : [];
    const cause = previous.find(({ name }) => name === "ReplyError");
    if (cause !== undefined) return new InfrastructureError(`Redis: ${messageOf(cause)}`, { cause: error });
    if (messageOf(error) === "Command timed out") this.#lease.resource.reset();
    return this.#lease.resource.failure(error);
  }
}
