import type { Batch, Event } from "../batch.ts";
import type { RunContext, Tries } from "../contracts.ts";

/** Some neighbouring events of a batch that are worked on in one call; the last one of a batch has its end. */
export interface Portion {
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

/** Cuts batches. @param size the most events of a portion */
export async function* portions(input: AsyncIterable<Batch>, size: number): AsyncGenerator<readonly Portion[]> {
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

/** What ends a step, and at which event of its portion. */
export interface EndingFailure {
  readonly index: number;
  readonly thrown: unknown;
}

/** The events of a portion that did not fail, in their order. @param failed in rising order */
export function keptOf({ events }: Portion, failed: readonly FailedRow[]): Event[] {
  if (failed.length === 0) return events;
  const left = new Set(failed.map(({ index }) => index));
  return events.filter((_, index) => !left.has(index));
}

/** Gives the failed events to whoever takes them, in their order. @returns what that ends; undefined when all were taken */
export function takeFailed({ events }: Portion, failed: readonly FailedRow[], step: string, run: RunContext): EndingFailure | undefined {
  for (const { index, error, tries } of failed) {
    try {
      run.failures.take(step, events[index] as Event, error, tries);
    } catch (thrown) {
      return { index, thrown };
    }
  }
  return undefined;
}
