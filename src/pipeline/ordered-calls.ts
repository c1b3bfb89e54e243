import type { Batch, Event, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import type { RunContext } from "../contracts.ts";
import { DataError, InfrastructureError } from "../errors.ts";
import { ahead } from "./ahead.ts";
import { positionBefore } from "./truncated.ts";

/** Some neighbouring events of a batch that are worked on in one call; the last one of a batch has its end. */
interface Portion {
  readonly batch: Batch;
  readonly first: number;
  readonly events: Event[];
  readonly last: "last" | "more";
}

interface Outcome {
  readonly portion: Portion;
  readonly failure: unknown;
}

/**
 * Runs an asynchronous call over portions of each batch, several at a time, and passes events on in input order, as soon
 * as those at the head are done. The call replaces the values of the events itself.
 * @param size the most events of a call
 * @param limit the most calls under way
 */
export async function* orderedCalls(
  input: AsyncIterable<Batch>,
  run: RunContext,
  options: { readonly step: string; readonly size: number; readonly limit: number },
  call: (events: Event[]) => Promise<void>,
): AsyncGenerator<Batch> {
  const start = (portion: Portion): Outcome | Promise<Outcome> => {
    if (portion.events.length === 0) return { portion, failure: undefined };
    return call(portion.events).then(
      () => ({ portion, failure: undefined }),
      // A failure is a result here, so that what stands before it can be told where it happened.
      (failure: unknown) => ({ portion, failure: failure ?? new Error("rejected without a reason") }),
    );
  };
  let position: Position | undefined;
  let watermark = NO_WATERMARK;
  for await (const outcomes of ahead(portions(input, options.size), options.limit, run.signal, start)) {
    let events: Event[] = [];
    for (const { portion, failure } of outcomes) {
      const { batch, first } = portion;
      if (failure !== undefined) {
        yield { events, position: positionBefore(batch, first), watermark };
        run.signal.throwIfAborted();
        throw asStepError(failure, options.step, portion.events[0]);
      }
      events = events.length === 0 ? portion.events : events.concat(portion.events);
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

/** An exception of a product's function is a data error of its event; what may pass later stays what it is. */
function asStepError(failure: unknown, step: string, event: Event | undefined): unknown {
  if (failure instanceof DataError || failure instanceof InfrastructureError) return failure;
  return new DataError(step, event, failure);
}
