import type { Event } from "../batch.ts";
import type { Failures, Sink } from "../contracts.ts";
import { DataError, isOf } from "../errors.ts";

/** Which events of a batch sinks have refused. */
export interface Refusals {
  /** Those that were taken out; one that several sinks refuse is taken once. */
  readonly taken: Set<Event>;
  readonly failures: Failures;
}

/** How far a sink has written a batch, and why no farther. */
export interface SinkEnd {
  readonly written: number;
  readonly failure?: unknown;
}

/**
 * Writes to one sink. What it refuses is taken out, as the policy for errors says, and the rest is written; where the policy is to
 * fail, the events before it are written. No other sink is interrupted by that.
 */
export async function writeToSink(
  sink: Sink,
  events: readonly Event[],
  signal: AbortSignal,
  { taken, failures }: Refusals,
): Promise<SinkEnd> {
  let rest = events;
  let ended: { readonly written: number; readonly failure: unknown } | undefined;
  const refuse = (event: Event, error: DataError): void => {
    if (taken.has(event)) return;
    try {
      failures.take(error.step, event, error);
    } catch (failure) {
      ended = { written: events.indexOf(event), failure };
      throw failure;
    }
    taken.add(event);
  };
  while (rest.length > 0) {
    try {
      await sink.write(rest, signal, refuse);
      break;
    } catch (error) {
      if (ended !== undefined && error === ended.failure) return ended;
      const refused = error instanceof DataError ? refusedOf(rest, error) : -1;
      if (refused === -1) throw error;
      try {
        refuse(rest[refused] as Event, error as DataError);
      } catch {
        return ended as SinkEnd;
      }
      rest = rest.slice(refused + 1);
    }
  }
  return { written: events.length };
}

function refusedOf(events: readonly Event[], error: DataError): number {
  const exactly = events.findIndex((event) => isOf(error, event));
  // Where the event was not given with the error, its place tells it, if it is the only one there.
  return exactly === -1 ? events.findIndex((event) => event.offset === error.place?.offset) : exactly;
}
