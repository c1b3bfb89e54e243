import type { Batch, Event } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import type { Transform } from "./plan.ts";
import type { EventFunction } from "./transforms.ts";
import { refusePromise, takeOut } from "./transforms.ts";
import { truncate, Truncated } from "./truncated.ts";
import { TICK, withTimer } from "./with-timer.ts";

/** What the saved state of a `timeBy` is made for: a number, its watermark. */
export const WATERMARK_SHAPE = "a watermark";

/** How often to look at the clock while no event comes, and so how often the watermark of an idle partition goes on. Milliseconds. */
const IDLE_STEP = 1000;

/** A `timeBy` step, checked. Times in milliseconds. */
export interface TimePlan {
  readonly name: string;
  readonly timeOf: EventFunction<unknown, unknown>;
  readonly outOfOrderness: number;
  /** How far beyond the clock's time an event's may be; undefined: as far as it likes. */
  readonly maxAhead: number | undefined;
}

/**
 * Sets event times and the watermark: the highest event time seen in the partition less `outOfOrderness`, event by event
 * (the bounded out-of-orderness watermark of Flink, without its extra millisecond: an event is late when its time is
 * smaller than the watermark).
 */
class EventTime {
  readonly #plan: TimePlan;
  readonly #run: RunContext;
  watermark = NO_WATERMARK;

  constructor(plan: TimePlan, run: RunContext) {
    this.#plan = plan;
    this.#run = run;
    // Kept over restarts: without it what was late before would open windows again.
    if (typeof run.memory?.restored === "number") this.watermark = run.memory.restored;
  }

  apply(batch: Batch): Batch {
    const { events } = batch;
    if (batch.barrier !== undefined) this.#run.memory?.save(batch.barrier, this.watermark);
    const { name, timeOf: fn, outOfOrderness, maxAhead } = this.#plan;
    const latest = maxAhead === undefined ? Number.POSITIVE_INFINITY : this.#run.clock.now() + maxAhead;
    let { watermark } = this;
    let index = 0;
    try {
      while (index < events.length) {
        try {
          for (; index < events.length; index++) {
            const event = events[index] as Event;
            const time = timeOf(fn(event.value, event), name);
            if (time > latest) refuseAhead(time, latest);
            event.time = time;
            event.watermark = watermark;
            watermark = Math.max(watermark, time - outOfOrderness);
          }
        } catch (cause) {
          takeOut(events, index, name, cause, this.#run);
        }
      }
    } catch (error) {
      this.watermark = watermark;
      const truncated = truncate(batch, events.slice(0, index), index, error);
      throw new Truncated({ ...truncated.batch, watermark }, error);
    }
    this.watermark = watermark;
    return {
      events,
      position: batch.position,
      watermark: batch.watermark === END_OF_INPUT ? END_OF_INPUT : watermark,
      barrier: batch.barrier,
    };
  }
}

function refuseAhead(time: number, latest: number): never {
  throw new RangeError(`the event time is ${time - latest} ms farther beyond the clock's time than maxAhead allows`);
}

/** The farthest moment from the epoch that a Date can hold. Beyond it, as in nanoseconds, numbers have no room for single milliseconds. */
const FARTHEST = 8.64e15;

function timeOf(given: unknown, name: string): number {
  const time = given instanceof Date ? given.getTime() : given;
  if (typeof time === "number" && Math.abs(time) <= FARTHEST) return time;
  if (given instanceof Promise) refusePromise(given, name);
  throw new TypeError(`an event time must be a Date or milliseconds since the epoch, got ${describe(time)}`);
}

function describe(time: unknown): string {
  return typeof time === "number" ? String(time) : time === null ? "null" : typeof time;
}

/** `timeBy` without `idleAfter`: synchronous. */
export function timeByTransform(plan: TimePlan, run: RunContext): Transform {
  const eventTime = new EventTime(plan, run);
  return (batch) => eventTime.apply(batch);
}

/**
 * `timeBy` with `idleAfter`: when no event came for that long, the watermark goes on with the wall clock, from where it
 * was when the last event came. Only time counts in which an event could have come: neither an outage of the source, nor
 * a stop of what is behind or of the whole process, all of which leave events waiting that would be late.
 */
export function timeByStep(plan: TimePlan, idleAfter: number): Step<unknown, unknown> {
  return async function* (input, run) {
    const eventTime = new EventTime(plan, run);
    const idle = new IdleClock(run, idleAfter);
    // Windows may be open from before: an input that stays idle must close them as well.
    if (eventTime.watermark > NO_WATERMARK) {
      idle.restart(eventTime.watermark);
      idle.goOn();
    }
    let position: number | undefined;
    for await (const batch of withTimer(input, run.clock, () => idle.left)) {
      idle.count();
      if (batch === TICK) {
        const before = eventTime.watermark;
        eventTime.watermark = Math.max(before, idle.watermark);
        if (position !== undefined && eventTime.watermark > before) yield { events: [], position, watermark: eventTime.watermark };
      } else {
        position = batch.position;
        yield* applyOrCut(eventTime, batch);
        if (batch.events.length > 0) idle.restart(eventTime.watermark);
      }
      idle.goOn();
    }
  };
}

function* applyOrCut(eventTime: EventTime, batch: Batch): Generator<Batch> {
  let result: Batch;
  try {
    result = eventTime.apply(batch);
  } catch (thrown) {
    if (!(thrown instanceof Truncated)) throw thrown;
    yield thrown.batch;
    throw thrown.error;
  }
  yield result;
}

/** How long a partition has been idle, and how far its watermark has gone on since. */
class IdleClock {
  readonly #run: RunContext;
  readonly #idleAfter: number;
  #watermark = NO_WATERMARK;
  /** Milliseconds of idleness since the last event. */
  #idle = 0;
  /** Up to when the clock was looked at, as `elapsed` gives it. */
  #since = 0;
  /** In how many milliseconds to look next, when the input is asked; undefined until an event came. */
  left: number | undefined;

  constructor(run: RunContext, idleAfter: number) {
    this.#run = run;
    this.#idleAfter = idleAfter;
  }

  /** Events came. */
  restart(watermark: number): void {
    this.#watermark = watermark;
    this.#idle = 0;
    this.left = 0;
  }

  /** The input is asked from now on. */
  goOn(): void {
    if (this.left === undefined) return;
    this.#since = this.#run.clock.elapsed();
    const left = this.#idleAfter - this.#idle;
    this.left = left > 0 ? Math.min(left, IDLE_STEP) : IDLE_STEP;
  }

  /** Counts the time since the input was asked, unless the process stood still: what came meanwhile is yet to be read. */
  count(): void {
    const passed = this.#run.clock.elapsed() - this.#since;
    if (!this.#run.isSourceAway() && passed <= 2 * IDLE_STEP) this.#idle += passed;
  }

  /** The watermark by the wall clock, once the partition is idle. */
  get watermark(): number {
    return this.#idle < this.#idleAfter ? NO_WATERMARK : this.#watermark + this.#idle;
  }
}
