import type { ChainableCommander } from "ioredis";
import { z } from "zod";

import type { Event } from "../batch.ts";
import type { Lease, OpenContext, Sink, SinkSpec } from "../contracts.ts";
import { DataError, InfrastructureError, messageOf } from "../errors.ts";
import { RedisConnectionHandle, redisLeaseKey } from "../redis/connection.ts";
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
 * Writes events to a stream, list, channel or hash of Redis, each batch in one pipeline. What Redis can't take for what it
 * is (a key of another type, no key for a hash) is a data error; a full memory or an outage is waited out.
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
      const lease = await context.shared.lease(redisLeaseKey(url), () => Promise.resolve(new RedisConnectionHandle(url)));
      return new RedisSink(lease, commandsFor(config), context, config[target] ?? "");
    },
  };
}

type Encoded = Uint8Array | string | null;
type Add = (pipeline: ChainableCommander, event: Event, value: Encoded) => void;

interface Commands {
  readonly encode: (value: unknown) => Encoded;
  readonly add: Add;
  /** A command after those of the events, such as one that trims. */
  readonly finish: (pipeline: ChainableCommander) => void;
}

function commandsFor(config: Settings): Commands {
  const { stream, list, channel, hash, maxLength } = config;
  const encode = encoderFor(config.format);
  const nothing = () => undefined;
  if (stream !== undefined) return { encode, add: addToStream(stream, maxLength), finish: nothing };
  if (channel !== undefined)
    return { encode, add: (pipeline, _event, value) => void pipeline.publish(channel, bytesOf(value)), finish: nothing };
  if (hash !== undefined) return { encode, add: setInHash(hash), finish: nothing };
  const name = list ?? "";
  const trim = maxLength === undefined ? nothing : (pipeline: ChainableCommander) => void pipeline.ltrim(name, -maxLength, -1);
  return { encode, add: (pipeline, _event, value) => void pipeline.rpush(name, bytesOf(value)), finish: trim };
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

function setInHash(hash: string): Add {
  return (pipeline, event, value) => {
    if (event.key === undefined) throw new TypeError("a hash needs the event's key; set one with keyBy");
    if (value === null) pipeline.hdel(hash, event.key);
    else pipeline.hset(hash, event.key, bytesOf(value));
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
    return this.#queue.run(() => this.#writeAll(events, signal));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#queue.idle().then(() => this.#lease[Symbol.asyncDispose]());
    return this.#closed;
  }

  async #writeAll(events: readonly Event[], signal: AbortSignal): Promise<void> {
    // Commands fail one by one: those that Redis has taken are not sent again.
    let left = events;
    await this.#outage.waitOut(signal, async () => {
      await this.#lease.resource.ready();
      const sent = left;
      const { pipeline, refused } = this.#pipeline(sent);
      const replies = (await pipeline.exec().catch((error: unknown) => Promise.reject(this.#lease.resource.failure(error)))) ?? [];
      const failed = replies.findIndex(([error]) => error !== null);
      if (failed !== -1) {
        left = sent.slice(Math.min(failed, sent.length));
        throw this.#classified(replies[failed]?.[0], left[0]);
      }
      if (refused !== undefined) throw refused;
    });
  }

  /** The commands of the events up to the first one that can't be written. */
  #pipeline(events: readonly Event[]): { pipeline: ChainableCommander; refused: DataError | undefined } {
    const pipeline = this.#lease.resource.client.pipeline();
    for (const event of events) {
      try {
        this.#commands.add(pipeline, event, this.#commands.encode(event.value));
      } catch (error) {
        return { pipeline, refused: new DataError(STEP, event, error) };
      }
    }
    this.#commands.finish(pipeline);
    return { pipeline, refused: undefined };
  }

  #classified(error: unknown, event: Event | undefined): Error {
    const message = messageOf(error);
    if (message.startsWith("WRONGTYPE") || message.startsWith("ERR")) return new DataError(STEP, event, error);
    if (/^[A-Z]+ /.test(message)) return new InfrastructureError(`Redis: ${message}`, { cause: error });
    return this.#lease.resource.failure(error);
  }
}
