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
  while (rest.length > 0) {
    try {
      await sink.write(rest, signal);
      break;
    } catch (error) {
      const refused = error instanceof DataError ? refusedOf(rest, error) : -1;
      if (refused === -1) throw error;
      const event = rest[refused] as Event;
      const written = events.length - rest.length + refused;
      if (taken.has(event)) {
        rest = rest.slice(refused + 1);
        continue;
      }
      try {
        failures.take((error as DataError).step, event, error);
      } catch (failure) {
        return { written, failure };
      }
      taken.add(event);
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
