import type { Batch, Event } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import type { EventFunction } from "./transforms.ts";
import { refusePromise } from "./transforms.ts";
import { positionBefore, truncate } from "./truncated.ts";

/** The most events of a batch: what is made of an event beyond that waits, unmade, until it is asked for. */
const MOST_EVENTS = 1024;

/** Replaces each event by any number of events with the same key, time and place. One that gives none counts as filtered. */
export function flatMapStep(name: string, fn: EventFunction<unknown, Iterable<unknown>>): Step<unknown, unknown> {
  return async function* (input, run) {
    for await (const batch of input) yield* flattened(name, fn, batch, run);
  };
}

function* flattened(name: string, fn: EventFunction<unknown, Iterable<unknown>>, batch: Batch, run: RunContext): Generator<Batch> {
  const { events } = batch;
  let results: Event[] = [];
  let complete = 0;
  for (let index = 0; index < events.length; index++) {
    const event = events[index] as Event;
    let gave: "none" | "some" = "none";
    try {
      for (const value of iterableOf(fn(event.value, event), name)) {
        if (results.length === MOST_EVENTS) {
          yield { events: results, position: positionBefore(batch, index), watermark: Math.min(event.watermark, batch.watermark) };
          results = [];
          complete = 0;
        }
        results.push(withValue(event, value));
        gave = "some";
      }
      if (gave === "none") run.counters.filtered += 1;
      complete = results.length;
    } catch (cause) {
      // What it gave beyond a whole batch before it threw has gone on already.
      results.length = complete;
      const failure = notTaken(name, event, cause, run);
      if (failure === undefined) continue;
      yield truncate(batch, results, index, failure.thrown).batch;
      throw failure.thrown;
    }
  }
  yield { events: results, position: batch.position, watermark: batch.watermark, barrier: batch.barrier };
}

/** What ends the step at an event that failed; undefined when the event was taken out and the step goes on. */
function notTaken(step: string, event: Event, cause: unknown, run: RunContext): { readonly thrown: unknown } | undefined {
  try {
    run.failures.take(step, event, cause);
    return undefined;
  } catch (thrown) {
    return { thrown };
  }
}

function iterableOf(given: unknown, name: string): Iterable<unknown> {
  if (given instanceof Promise) refusePromise(given, name);
  if (given !== null && given !== undefined && Symbol.iterator in Object(given)) return given as Iterable<unknown>;
  const kind = given === null ? "null" : typeof given;
  throw new TypeError(`the function of "${name}" must return something to go through, such as an array; got ${kind}`);
}

function withValue(event: Event, value: unknown): Event {
  return {
    value,
    key: event.key,
    time: event.time,
    headers: event.headers,
    origin: event.origin,
    offset: event.offset,
    watermark: event.watermark,
    size: event.size,
    raw: event.raw,
    rawKey: event.rawKey,
  };
}
