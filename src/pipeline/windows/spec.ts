import type { Duration } from "../../duration.ts";
import { positiveMilliseconds } from "../../duration.ts";
import { PlanError } from "../../errors.ts";

/** Which time a window goes by: the events' own, or the clock's when they arrive. */
export type WindowTime = "event" | "processing";

/** Options of every window by time. */
export interface WindowTimeOptions {
  /** Default `event`. In processing time results depend on when events arrive, so a replay gives others. */
  readonly time?: WindowTime | undefined;
}

/** How events are put into windows. Made by `tumbling`, `sliding`, `session`, `count` or `countOrTime`; times in milliseconds. */
export type WindowSpec =
  | { readonly kind: "tumbling" | "sliding"; readonly size: number; readonly slide: number; readonly time: WindowTime }
  | { readonly kind: "session"; readonly gap: number; readonly time: WindowTime }
  | { readonly kind: "count"; readonly count: number; readonly slide: number; readonly time: "event" }
  | { readonly kind: "countOrTime"; readonly count: number; readonly size: number; readonly time: WindowTime };

/** Windows of one length, one after the other: [0, size), [size, 2 × size) … from the epoch. */
export function tumbling(size: Duration, options: WindowTimeOptions = {}): WindowSpec {
  const ms = positiveMilliseconds(size, "tumbling: size");
  return { kind: "tumbling", size: ms, slide: ms, time: options.time ?? "event" };
}

/**
 * Windows of one length that begin every `slide` (hopping windows), so that an event belongs to several: aligned to the
 * epoch.
 * @throws PlanError when `slide` is longer than `size`: events between the windows would be in none
 */
export function sliding(size: Duration, slide: Duration, options: WindowTimeOptions = {}): WindowSpec {
  const ms = positiveMilliseconds(size, "sliding: size");
  const every = positiveMilliseconds(slide, "sliding: slide");
  if (every > ms) throw new PlanError(`sliding: the slide (${every} ms) must not be longer than the size (${ms} ms)`);
  return { kind: "sliding", size: ms, slide: every, time: options.time ?? "event" };
}

/**
 * Windows of activity: events whose distance is at most `gap` are together; the window ends `gap` after its last event.
 * Two sessions that an event brings within the gap of each other become one, as in Flink and Kafka Streams.
 */
export function session(gap: Duration, options: WindowTimeOptions = {}): WindowSpec {
  return { kind: "session", gap: positiveMilliseconds(gap, "session: gap"), time: options.time ?? "event" };
}

/**
 * Windows of `n` events; every `slide` events one begins (default `n`: one after the other). Only full ones give a result.
 * @throws PlanError when a number is not whole or `slide` is larger than `n`
 */
export function countWindow(n: number, slide: number = n): WindowSpec {
  positiveInteger(n, "count: n");
  positiveInteger(slide, "count: slide");
  if (slide > n) throw new PlanError(`count: the slide (${slide}) must not be larger than n (${n})`);
  return { kind: "count", count: n, slide, time: "event" };
}

/**
 * Windows that end with their `n`-th event, or `time` after their first event, whichever comes first: then the result has
 * the end first + time, and may have fewer events.
 */
export function countOrTime(n: number, time: Duration, options: WindowTimeOptions = {}): WindowSpec {
  positiveInteger(n, "countOrTime: n");
  const size = positiveMilliseconds(time, "countOrTime: time");
  return { kind: "countOrTime", count: n, size, time: options.time ?? "event" };
}

function positiveInteger(value: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < 1) throw new PlanError(`${name} must be a whole number, 1 or more (got ${value})`);
}
