import type { Event } from "../batch.ts";
import type { RunContext } from "../contracts.ts";
import type { Transform } from "./plan.ts";
import { truncate } from "./truncated.ts";

/** A product's function over one event: its value first, the whole event (read only) for who needs key, time or headers. */
export type EventFunction<T, U> = (value: T, event: Readonly<Event<T>>) => U;

/** Replaces each value. */
export function mapTransform(name: string, fn: EventFunction<unknown, unknown>, run: RunContext): Transform {
  return eachTransform(name, run, (event) => {
    event.value = fn(event.value, event);
    if (event.value instanceof Promise) refusePromise(event.value, name);
  });
}

/** Looks at each event and passes it on. */
export function tapTransform(name: string, fn: EventFunction<unknown, unknown>, run: RunContext): Transform {
  return eachTransform(name, run, (event) => {
    const ignored = fn(event.value, event);
    if (ignored instanceof Promise) refusePromise(ignored, name);
  });
}

/** Sets each event's key. */
export function keyByTransform(name: string, fn: EventFunction<unknown, unknown>, run: RunContext): Transform {
  return eachTransform(name, run, (event) => {
    event.key = keyText(fn(event.value, event), name);
  });
}

/** Does something to each event of a batch. */
function eachTransform(name: string, run: RunContext, apply: (event: Event) => void): Transform {
  return (batch) => {
    const { events } = batch;
    let index = 0;
    try {
      while (index < events.length) {
        try {
          for (; index < events.length; index++) apply(events[index] as Event);
        } catch (cause) {
          takeOut(events, index, name, cause, run);
        }
      }
    } catch (error) {
      throw truncate(batch, events.slice(0, index), index, error);
    }
    return batch;
  };
}

/**
 * Takes an event that a step can't pass out of its batch: the next one is then in its place.
 * @throws what ends the step there, as the policy for errors says
 */
export function takeOut(events: Event[], index: number, step: string, cause: unknown, run: RunContext): void {
  run.failures.take(step, events[index] as Event, cause);
  events.splice(index, 1);
}

/** Keeps the events for which the function is truthy, and counts the others. */
export function filterTransform(name: string, fn: EventFunction<unknown, unknown>, run: RunContext): Transform {
  return (batch) => {
    const { events } = batch;
    let index = 0;
    let kept = 0;
    try {
      while (index < events.length) {
        try {
          for (; index < events.length; index++) {
            const event = events[index] as Event;
            const keep = fn(event.value, event);
            if (keep instanceof Promise) refusePromise(keep, name);
            if (keep) events[kept++] = event;
          }
        } catch (cause) {
          takeOut(events, index, name, cause, run);
        }
      }
    } catch (error) {
      run.counters.filtered += index - kept;
      // The events from `index` on still stand where they were: only places before it were overwritten.
      throw truncate(batch, events.slice(0, kept), index, error);
    }
    run.counters.filtered += events.length - kept;
    events.length = kept;
    return batch;
  };
}

/**
 * @param name the step's
 * @throws TypeError when it is neither text, a number, a big integer nor undefined
 */
export function keyText(key: unknown, name: string): string | undefined {
  if (typeof key === "string" || key === undefined) return key;
  if (key === null) return undefined;
  if (typeof key === "number" || typeof key === "bigint") return String(key);
  if (key instanceof Promise) refusePromise(key, name);
  throw new TypeError(`a key must be text or a number, got ${Array.isArray(key) ? "an array" : typeof key}`);
}

/** An async function in a synchronous step would pass promises on as values, and what they reject with would end the process. */
export function refusePromise(promise: Promise<unknown>, name: string): never {
  promise.catch(() => undefined);
  throw new TypeError(`the function of "${name}" returned a promise; use mapAsync for asynchronous work`);
}
