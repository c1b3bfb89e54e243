import type { Batch, Event, EventHeaders, Origin, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { SourceSpec } from "../contracts.ts";
import { singlePartition } from "./single-partition.ts";

/** An event of a memory source. */
export interface MemoryEvent<T> {
  readonly value: T;
  readonly key?: string;
  /** Milliseconds since the epoch; default none. */
  readonly time?: number;
  readonly headers?: EventHeaders;
}

const MOST_EVENTS = 1024;

/**
 * A finite source of events that a program has at hand or makes as they are asked for: for tests and embedding. The input
 * is gone through once for each run.
 */
export function memorySource<T>(input: Iterable<MemoryEvent<T>> | AsyncIterable<MemoryEvent<T>>): SourceSpec<T> {
  return {
    kind: "memory",
    description: {},
    finite: true,
    timestamps: true,
    partitioned: false,
    open: (context) =>
      Promise.resolve(singlePartition("memory", context.task.instance, (from, stop) => read(input, from ?? 0, stop)) as never),
  };
}

const origin: Origin = { system: "memory", name: "memory", partition: undefined };

async function* read<T>(
  input: Iterable<MemoryEvent<T>> | AsyncIterable<MemoryEvent<T>>,
  from: Position,
  stop: AbortSignal,
): AsyncGenerator<Batch> {
  let events: Event[] = [];
  let offset = 0;
  for await (const given of input) {
    if (stop.aborted) return;
    if (offset >= from) events.push(eventOf(given, offset));
    offset += 1;
    if (events.length < MOST_EVENTS) continue;
    yield { events, position: offset, watermark: NO_WATERMARK };
    events = [];
  }
  if (!stop.aborted) yield { events, position: offset, watermark: END_OF_INPUT };
}

function eventOf(given: MemoryEvent<unknown>, offset: Position): Event {
  const { value, key, time = Number.NaN, headers } = given;
  return { value, key, time, headers, origin, offset, watermark: NO_WATERMARK, size: 0 };
}
