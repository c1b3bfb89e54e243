import { z } from "zod";

import type { Batch, Event, Origin, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import type { SourceSpec } from "../contracts.ts";
import { decoderFor } from "../values.ts";
import { Breather } from "./breather.ts";
import type { Decoder } from "./decoded-partition.ts";
import { singlePartition } from "./single-partition.ts";

/** What a task can set on a generator source. */
export const generatorSourceConfig = z.strictObject({
  count: z.int().min(0).optional().describe("how many events; default without end"),
  rate: z.number().min(0).optional().describe("events per second; 0 for none at all; default as fast as they are taken"),
  keys: z.int().min(1).default(10).describe("how many keys: key-0, key-1 …"),
  seed: z.int().default(1).describe("another seed gives other values"),
  start: z.number().default(0).describe("the time of the first event, in milliseconds since the epoch"),
  step: z.number().min(0).default(1000).describe("milliseconds from one event's time to the next one's"),
  format: z.enum(["json", "text", "bytes"]).optional().describe("decodes values here; without it they are bytes of JSON"),
  padding: z.int().min(0).max(1_048_576).default(0).describe("bytes of filling in each event, to make it larger"),
});

/** Settings of `generatorSource`. */
export type GeneratorSourceSettings = z.input<typeof generatorSourceConfig>;
type Settings = z.output<typeof generatorSourceConfig>;

const MOST_EVENTS = 1024;
const MOST_BYTES = 1_048_576;
/** Bytes of an event without padding, about. */
const BARE_BYTES = 64;
/** How long an idle source waits at most before it yields an empty batch, in milliseconds. */
const IDLE = 1000;

/**
 * Readings made up by a seed: the bytes (or, with a `format`, what they decode to) of `{"sequence":0,"key":"key-3","at":0,"value":51.2}`, the same for the same place
 * and settings. The event's key and time are those of the reading.
 * @throws {z.ZodError} when the settings are wrong
 */
export function generatorSource(settings: GeneratorSourceSettings = {}): SourceSpec {
  const config = generatorSourceConfig.parse(settings);
  return {
    kind: "generator",
    description: { count: config.count, rate: config.rate, keys: config.keys, seed: config.seed },
    finite: config.count !== undefined,
    timestamps: true,
    partitioned: false,
    format: config.format,
    open: ({ task, clock }) =>
      Promise.resolve(singlePartition("generator", task.instance, (from, stop) => generate(config, clock, from ?? 0, stop))),
  };
}

const origin: Origin = { system: "generator", name: "generator", partition: undefined };

async function* generate(config: Settings, clock: Clock, from: Position, stop: AbortSignal): AsyncGenerator<Batch> {
  const { count = Number.POSITIVE_INFINITY, rate } = config;
  const decode = decoderFor(config.format ?? "bytes");
  const breather = new Breather();
  const began = clock.elapsed();
  const padding = config.padding === 0 ? "" : `,"padding":"${"x".repeat(config.padding)}"`;
  const most = Math.min(MOST_EVENTS, Math.ceil(MOST_BYTES / (BARE_BYTES + config.padding)));
  let position = from;
  while (position < count && !stop.aborted) {
    const due = rate === undefined ? Number.POSITIVE_INFINITY : from + dueAfter(rate, clock.elapsed() - began);
    const end = Math.min(position + most, count, due);
    const events: Event[] = [];
    for (; position < end; position++) events.push(makeEvent(config, position, padding, decode));
    yield { events, position, watermark: NO_WATERMARK };
    if (rate === undefined || position < due || position >= count) {
      await breather.breathe();
      continue;
    }
    if (!(await waited(untilNext(rate, position - from, clock.elapsed() - began), stop, clock))) return;
  }
  if (!stop.aborted) yield { events: [], position, watermark: END_OF_INPUT };
}

/** How many events are due after that many milliseconds; the first one at once. */
function dueAfter(rate: number, elapsed: number): number {
  return rate === 0 ? 0 : Math.floor((elapsed / 1000) * rate) + 1;
}

/** Milliseconds until the event of that number is due, at most a second. */
function untilNext(rate: number, number: number, elapsed: number): number {
  return rate === 0 ? IDLE : Math.min(IDLE, Math.max(1, (number / rate) * 1000 - elapsed));
}

async function waited(ms: number, stop: AbortSignal, clock: Clock): Promise<boolean> {
  try {
    await sleep(ms, stop, clock);
    return true;
  } catch {
    return false;
  }
}

function makeEvent(config: Settings, sequence: Position, padding: string, decode: Decoder): Event {
  const random = scramble(sequence, config.seed);
  const key = `key-${random % config.keys}`;
  const time = config.start + sequence * config.step;
  const value = (scramble(random, config.seed) % 1000) / 10;
  const bytes = Buffer.from(`{"sequence":${sequence},"key":"${key}","at":${time},"value":${value}${padding}}`);
  return {
    value: decode(bytes),
    key,
    time,
    headers: undefined,
    origin,
    offset: sequence,
    watermark: NO_WATERMARK,
    size: bytes.length,
    raw: bytes,
    rawKey: key,
  };
}

/** A 32-bit number that looks random but depends on the place alone (the finalizer of MurmurHash3). */
function scramble(place: number, seed: number): number {
  let hash = Math.imul(place ^ Math.imul(seed, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
