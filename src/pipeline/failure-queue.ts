import type { Batch, Event, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { Tries } from "../contracts.ts";

/** An event that waits for its handler. */
export interface WaitingFailure {
  readonly step: string;
  readonly event: Event;
  readonly error: unknown;
  readonly tries: Tries | undefined;
}

/** What a handler made of failures: the events that go on, and what ends the pipeline, at which event. */
export interface Handled {
  readonly events: readonly Event[];
  readonly end?: { readonly at: Event; readonly thrown: unknown } | undefined;
}

/** Failures that are to go on at one place of a pipeline, in the order in which they were taken. */
export class FailureQueue {
  #waiting: WaitingFailure[] = [];
  readonly #stamped = new WeakSet<WaitingFailure>();

  get size(): number {
    return this.#waiting.length;
  }

  add(failure: WaitingFailure): void {
    this.#waiting.push(failure);
  }

  /**
   * Gives events that failed before event times were set the watermark of their places: that of the next event in the batch, or that behind
   * it. Farther on nothing tells it any more, since a filter may have taken the events next to it.
   */
  stamp({ events, position, watermark }: Batch): void {
    if (this.#waiting.length === 0) return;
    let next = 0;
    for (const failure of this.#waiting.toSorted((a, b) => a.event.offset - b.event.offset)) {
      const { event } = failure;
      if (event.watermark > NO_WATERMARK || this.#stamped.has(failure)) continue;
      while (next < events.length && (events[next] as Event).offset < event.offset) next += 1;
      if (next === events.length && event.offset >= position) return;
      this.#stamped.add(failure);
      const behind = watermark === END_OF_INPUT ? (events[events.length - 1]?.watermark ?? NO_WATERMARK) : watermark;
      event.watermark = events[next]?.watermark ?? behind;
    }
  }

  /** Takes out those from before a position; all of them without one. */
  takeBefore(position: Position = Number.POSITIVE_INFINITY): readonly WaitingFailure[] {
    if (this.#waiting.length === 0) return this.#waiting;
    const taken = this.#waiting.filter(({ event }) => event.offset < position);
    if (taken.length > 0) this.#waiting = this.#waiting.filter(({ event }) => event.offset >= position);
    return taken.toSorted((a, b) => a.event.offset - b.event.offset);
  }
}

/**
 * The place where events go on that a handler has put back: each before the events behind it, and before the position of its batch
 * is done. What failed in a later batch does not overtake.
 * @param positionOf how far the source had read at a barrier
 */
export async function* inlet(
  input: AsyncIterable<Batch>,
  queue: FailureQueue,
  handle: (failures: readonly WaitingFailure[]) => Promise<Handled>,
  positionOf: (barrier: number) => Position | undefined,
): AsyncGenerator<Batch> {
  let watermark = NO_WATERMARK;
  for await (const batch of input) {
    const { events, position, barrier } = batch;
    let limit = barrier === undefined ? position : Math.max(position, positionOf(barrier.number) ?? position);
    // What a later event has come past is due, also while its batch is not complete.
    for (const event of events) limit = Math.max(limit, event.offset);
    const failures = queue.takeBefore(limit);
    if (failures.length === 0) {
      watermark = reached(watermark, batch);
      yield batch;
      continue;
    }
    const handled = await handle(failures);
    const { end } = handled;
    const all = merged(events, handled.events, watermark);
    watermark = reached(watermark, batch);
    if (end !== undefined) {
      const before = all.filter(({ offset }) => offset < end.at.offset);
      yield {
        events: before,
        position: Math.min(position, end.at.offset),
        watermark: before[before.length - 1]?.watermark ?? NO_WATERMARK,
      };
      throw end.thrown;
    }
    if (barrier === undefined) {
      yield { events: all, position, watermark: batch.watermark };
      continue;
    }
    // A barrier is empty, and passes behind what came before it.
    if (all.length > 0) yield { events: all, position, watermark };
    yield { ...batch, events: [] };
  }
}

/** How far the watermark is known to be behind a batch. */
function reached(watermark: number, batch: Batch): number {
  return batch.watermark === END_OF_INPUT ? watermark : Math.max(watermark, batch.watermark);
}

/** Both in the order of their places; those that were put back get the watermark there. */
function merged(events: readonly Event[], back: readonly Event[], before: number): Event[] {
  const all: Event[] = [];
  let watermark = before;
  let next = 0;
  const pass = () => {
    const event = events[next++] as Event;
    watermark = Math.max(watermark, event.watermark);
    all.push(event);
  };
  for (const event of back) {
    while (next < events.length && (events[next] as Event).offset < event.offset) pass();
    event.watermark = Math.max(event.watermark, watermark);
    all.push(event);
  }
  while (next < events.length) pass();
  return all;
}
