import type { Batch, Event, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import type { RunContext } from "../contracts.ts";
import type { Limit } from "./ahead.ts";
import { ahead } from "./ahead.ts";
import type { FailedRow, Portion } from "./portions.ts";
import { keptOf, portions, takeFailed } from "./portions.ts";
import { positionBefore } from "./truncated.ts";

/** How calls are made over the events of a step. */
export interface CallsOptions {
  readonly step: string;
  /** The most events of a call. */
  readonly size: number;
  /** The most calls under way. */
  readonly limit: Limit;
}

/** Does some events: replaces their values itself, and gives those that it could not do. */
export type CallEvents = (events: Event[]) => Promise<readonly FailedRow[]>;

interface Outcome {
  readonly portion: Portion;
  /** In rising order. */
  readonly failed: readonly FailedRow[];
}

const NONE: readonly FailedRow[] = [];

/**
 * Runs an asynchronous call over portions of each batch, several at a time, and passes events on in input order, as soon
 * as those at the head are done.
 */
export async function* orderedCalls(
  input: AsyncIterable<Batch>,
  run: RunContext,
  options: CallsOptions,
  call: CallEvents,
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
      const failure = failed.length === 0 ? undefined : takeFailed(portion, failed, options.step, run);
      const whole = failure === undefined ? portion : { ...portion, events: portion.events.slice(0, failure.index) };
      const kept = keptOf(whole, failed);
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
