import type { Batch, Event, EventHeaders, Origin, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { Clock } from "../clock.ts";
import type { SourceSpec } from "../contracts.ts";
import { onAbort } from "../on-abort.ts";
import { Breather } from "./breather.ts";
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
/** How long an idle source waits at most before it yields an empty batch, in milliseconds. */
const IDLE = 1000;

/**
 * A finite source of events that a program has at hand or makes as they are asked for: for tests and embedding. The input
 * is gone through once for each run, and told to `return` when it is not read to its end. Of an async input, what is there
 * is handed on without waiting for more.
 */
export function memorySource<T>(input: Iterable<MemoryEvent<T>> | AsyncIterable<MemoryEvent<T>>): SourceSpec<T> {
  return {
    kind: "memory",
    description: {},
    finite: true,
    timestamps: true,
    partitioned: false,
    open: ({ task, clock }) =>
      Promise.resolve(
        singlePartition("memory", task.instance, (from = 0, stop) =>
          Symbol.asyncIterator in input ? readAsync(input, from, stop, clock) : readSync(input, from, stop),
        ) as never,
      ),
  };
}

const origin: Origin = { system: "memory", name: "memory", partition: undefined };

async function* readSync(input: Iterable<MemoryEvent<unknown>>, from: Position, stop: AbortSignal): AsyncGenerator<Batch> {
  const breather = new Breather();
  let events: Event[] = [];
  let offset = 0;
  for (const given of input) {
    if (offset >= from) events.push(eventOf(given, offset));
    offset += 1;
    if (events.length < MOST_EVENTS) continue;
    if (stop.aborted) return;
    yield { events, position: offset, watermark: NO_WATERMARK };
    events = [];
    await breather.breathe();
  }
  if (!stop.aborted) yield { events, position: Math.max(offset, from), watermark: END_OF_INPUT };
}

async function* readAsync(
  input: AsyncIterable<MemoryEvent<unknown>>,
  from: Position,
  stop: AbortSignal,
  clock: Clock,
): AsyncGenerator<Batch> {
  const iterator = input[Symbol.asyncIterator]();
  let finished = false;
  let events: Event[] = [];
  let offset = 0;
  const take = (): Batch => {
    const batch = { events, position: Math.max(offset, from), watermark: NO_WATERMARK };
    events = [];
    return batch;
  };
  try {
    let next = iterator.next();
    while (!stop.aborted) {
      // With events in hand it waits for no more than what is there; without, for a while.
      const result = await firstOf(next, events.length > 0 ? 0 : IDLE, stop, clock);
      if (stop.aborted) return;
      if (result === undefined) {
        yield take();
        continue;
      }
      finished = result.done === true;
      if (finished) break;
      if (offset >= from) events.push(eventOf(result.value as MemoryEvent<unknown>, offset));
      offset += 1;
      if (events.length >= MOST_EVENTS) yield take();
      next = iterator.next();
    }
    if (!stop.aborted) yield { ...take(), watermark: END_OF_INPUT };
  } finally {
    // Not awaited: an input that hangs must not hold a stop up.
    if (!finished) void iterator.return?.().then(undefined, () => undefined);
  }
}

/** What comes first: the promise's result, or undefined for the time's end or the stop. */
function firstOf<R>(promise: Promise<R>, ms: number, stop: AbortSignal, clock: Clock): Promise<R | undefined> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => resolve(undefined);
    const unwatch = onAbort(stop, giveUp);
    const cancel = ms === 0 ? soon(giveUp) : clock.after(ms, giveUp);
    promise.then(resolve, reject).finally(() => {
      cancel();
      unwatch();
    });
  });
}

/** After whatever is settled already has had its turn. */
function soon(callback: () => void): () => void {
  const immediate = setImmediate(callback);
  return () => clearImmediate(immediate);
}

function eventOf(given: MemoryEvent<unknown>, offset: Position): Event {
  const { value, key, time = Number.NaN, headers } = given;
  return { value, key, time, headers, origin, offset, watermark: NO_WATERMARK, size: 0 };
}
