import type { ChainableCommander } from "ioredis";
import { z } from "zod";

import type { Event } from "../batch.ts";
import type { Lease, OpenContext, Sink, SinkSpec } from "../contracts.ts";
import { DataError, InfrastructureError, messageOf } from "../errors.ts";
import type { RedisConnectionHandle } from "../redis/connection.ts";
import { encoderFor, FORMATS } from "../values.ts";
import { Outage } from "./outage.ts";
import { Queue } from "./queue.ts";
import { canParseUrl, NO_URL } from "./url-syntax.ts";

const key = z.string().min(1).max(1024);

/** What a task can set on a Redis sink. */
export const redisSinkConfig = z
  .strictObject({
    url: z
      .string()
      .regex(/^rediss?:\/\//, "must be redis://… or rediss://…")
      .refine(canParseUrl, NO_URL)
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
/** Adds the commands of some events to a transaction. */
type Add = (transaction: ChainableCommander, entries: readonly Entry[]) => void;

interface Entry {
  readonly event: Event;
  readonly value: Encoded;
}

interface Commands {
  readonly encode: (value: unknown) => Encoded;
  /** @throws TypeError when there is no command for the event */
  readonly check: (event: Event) => void;
  readonly add: Add;
}

function commandsFor(config: Settings): Commands {
  const { stream, list, channel, hash, maxLength } = config;
  const encode = encoderFor(config.format);
  const check = () => undefined;
  if (stream !== undefined) return { encode, check, add: each(addToStream(stream, maxLength)) };
  if (channel !== undefined)
    return { encode, check, add: each((transaction, { value }) => void transaction.publish(channel, bytesOf(value))) };
  if (hash !== undefined) return { encode, check: hasKey, add: each(setInHash(hash)) };
  return { encode, check, add: pushToList(list ?? "", maxLength) };
}

type AddOne = (transaction: ChainableCommander, entry: Entry) => void;

function each(add: AddOne): Add {
  return (transaction, entries) => {
    for (const entry of entries) add(transaction, entry);
  };
}

/** Values of one command, which costs hardly more with all of them than with one. */
const MOST_VALUES = 1000;

function pushToList(list: string, maxLength: number | undefined): Add {
  return (transaction, entries) => {
    for (let start = 0; start < entries.length; start += MOST_VALUES) {
      transaction.rpush(list, ...entries.slice(start, start + MOST_VALUES).map(({ value }) => bytesOf(value)));
    }
    if (maxLength !== undefined) transaction.ltrim(list, -maxLength, -1);
  };
}

function addToStream(stream: string, maxLength: number | undefined): AddOne {
  return (transaction, { event, value }) => {
    const fields: (string | Buffer)[] = ["value", bytesOf(value)];
    if (event.key !== undefined) fields.unshift("key", event.key);
    if (!Number.isNaN(event.time)) fields.unshift("time", String(event.time));
    if (maxLength === undefined) transaction.xadd(stream, "*", ...fields);
    else transaction.xadd(stream, "MAXLEN", "~", maxLength, "*", ...fields);
  };
}

function hasKey(event: Event): void {
  if (event.key === undefined) throw new TypeError("a hash needs the event's key; set one with keyBy");
}

function setInHash(hash: string): AddOne {
  return (transaction, { event: { key = "" }, value }) => {
    if (value === null) transaction.hdel(hash, key);
    else transaction.hset(hash, key, bytesOf(value));
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
    this.#commands.add(transaction, entries);
    let replies: readonly (readonly [Error | null, unknown])[] | null;
    try {
      replies = await transaction.exec();
    } catch (error) {
      throw this.#failure(error);
    }
    if (replies === null) throw new InfrastructureError("Redis: the transaction was discarded");
    const failed = replies.find(([error]) => error !== null);
    // Only what is in a command fails behind EXEC, such as a key of another type; all have the same key, so the first is named.
    if (failed !== undefined) throw new DataError(STEP, entries[0]?.event, failed[0]);
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
