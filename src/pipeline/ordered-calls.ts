import type { Batch, Event, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import type { RunContext, Tries } from "../contracts.ts";
import type { Limit } from "./ahead.ts";
import { ahead } from "./ahead.ts";
import { positionBefore } from "./truncated.ts";

/** Some neighbouring events of a batch that are worked on in one call; the last one of a batch has its end. */
interface Portion {
  readonly batch: Batch;
  readonly first: number;
  readonly events: Event[];
  readonly last: "last" | "more";
}

/** An event that a call could not do, by its index among the events of the call. */
export interface FailedRow {
  readonly index: number;
  readonly error: unknown;
  readonly tries: Tries;
}

interface Outcome {
  readonly portion: Portion;
  /** In rising order. */
  readonly failed: readonly FailedRow[];
}

const NONE: readonly FailedRow[] = [];

/**
 * Runs an asynchronous call over portions of each batch, several at a time, and passes events on in input order, as soon
 * as those at the head are done. The call replaces the values of the events itself, and gives those that it could not do.
 * @param size the most events of a call
 * @param limit the most calls under way
 */
export async function* orderedCalls(
  input: AsyncIterable<Batch>,
  run: RunContext,
  options: { readonly step: string; readonly size: number; readonly limit: Limit },
  call: (events: Event[]) => Promise<readonly FailedRow[]>,
): AsyncGenerator<Batch> {
  const start = (portion: Portion): Outcome | Promise<Outcome> => {
    if (portion.events.length === 0) return { portion, failed: NONE };
    return call(portion.events).then((failed) => ({ portion, failed }));
  };
  let position: Position | undefined;
  let watermark = NO_WATERMARK;
  for await (const outcomes of ahead(portions(input, options.size), options.limit, run.signal, start)) {
    let events: Event[] = [];
    for (const { portion, failed } of outcomes) {
      const { batch, first } = portion;
      const { kept, failure } = failed.length === 0 ? { kept: portion.events } : takeFailed(portion, failed, options.step, run);
      events = events.length === 0 ? kept : events.concat(kept);
      if (failure !== undefined) {
        yield { events, position: positionBefore(batch, first + failure.index), watermark };
        run.signal.throwIfAborted();
        throw failure.thrown;
      }
      if (portion.last === "more") continue;
      ({ position, watermark } = batch);
      yield { events, position, watermark, barrier: batch.barrier };
      events = [];
    }
    // Part of a batch: nothing of it may count as done yet, so it goes with the position before the batch.
    if (events.length > 0) {
      const { batch } = outcomes[outcomes.length - 1]!.portion;
      yield { events, position: position ?? positionBefore(batch, 0), watermark };
    }
  }
}

async function* portions(input: AsyncIterable<Batch>, size: number): AsyncGenerator<readonly Portion[]> {
  for await (const batch of input) {
    const { events } = batch;
    if (events.length <= size) {
      yield [{ batch, first: 0, events, last: "last" }];
      continue;
    }
    const cut: Portion[] = [];
    for (let first = 0; first < events.length; first += size) {
      const last = first + size >= events.length ? "last" : "more";
      cut.push({ batch, first, events: events.slice(first, first + size), last });
    }
    yield cut;
  }
}

interface Passed {
  /** The events that go on. */
  readonly kept: Event[];
  /** What ends the step, and at which event. */
  readonly failure?: { readonly index: number; readonly thrown: unknown };
}

/** Takes the failed events out, in their order. */
function takeFailed({ events }: Portion, failed: readonly FailedRow[], step: string, run: RunContext): Passed {
  const kept: Event[] = [];
  let next = 0;
  for (const { index, error, tries } of failed) {
    for (; next < index; next++) kept.push(events[next] as Event);
    next = index + 1;
    try {
      run.failures.take(step, events[index] as Event, error, tries);
    } catch (thrown) {
      return { kept, failure: { index, thrown } };
    }
  }
  for (; next < events.length; next++) kept.push(events[next] as Event);
  return { kept };
}
