import type { Duration } from "../duration.ts";
import type { ErrorPolicy } from "./error-policy.ts";
import type { BreakerOptions } from "./flood-breaker.ts";
import type { EventFunction } from "./transforms.ts";
import type { FoldedValues } from "./windows/fold.ts";

/** Options of every step. */
export interface StepOptions {
  /** Names the step in the plan, in errors and metrics; default the method's name, with a number where that is taken. */
  readonly name?: string | undefined;
  /** What becomes of an event on which its function throws; default: as the pipeline's `onError` says. */
  readonly onError?: ErrorPolicy | undefined;
}

/** Options of `keyBy`. */
export interface KeyOptions extends StepOptions {
  /** True says that the source's records are partitioned by this key already, so that all events of a key meet. */
  readonly colocated?: boolean | undefined;
}

/** Options of `timeBy`. */
export interface TimeOptions extends StepOptions {
  /** How far behind the highest time seen an event may be without being late; default "0s". */
  readonly outOfOrderness?: Duration | undefined;
  /** When no event came for that long, the watermark goes on with the wall clock; default off. The one place where a result depends on it. */
  readonly idleAfter?: Duration | undefined;
  /** An event time that is more than that beyond the wall clock is an error of its event, so that one bad clock does not make all others late; default off. */
  readonly maxAhead?: Duration | undefined;
}

/** Options of `batch`; at least one of `size` and `time`. */
export interface BatchOptions<T> extends StepOptions {
  readonly size?: number | undefined;
  /** From the batch's own first event on, by the clock. */
  readonly time?: Duration | undefined;
  /** Batches for each key of this function; default one batch over all. */
  readonly key?: EventFunction<T, string | number | undefined>;
  /** The most events held in batches that are not full yet, in a partition; default 1,000,000. More is an error, not a loss. */
  readonly maxHeldEvents?: number | undefined;
  /** The most bytes of records held so; default 256 MiB. */
  readonly maxHeldBytes?: number | undefined;
}

/** Options of `via`. */
export interface ViaOptions {
  /**
   * Whether the step keeps something of earlier events; then instances can't share a partition. Without `memory` it must hold
   * positions back to the first record of what it keeps: from there the pipeline is read again after a restart, and makes no
   * checkpoints.
   */
  readonly stateful?: boolean | undefined;
  /**
   * The step saves its state with `run.memory`: a text that says what it is made for, such as `"totals 1"`. State that was
   * saved under another text is refused and not restored.
   */
  readonly memory?: string | undefined;
  /** What becomes of the events that it gives to `run.failures`; default: as the pipeline's `onError` says. */
  readonly onError?: ErrorPolicy | undefined;
}

/** Options of `onError` on the pipeline. */
export interface ErrorOptions {
  /** When so many events fail that the task pauses; default: more than half of those of the last 30 s, and at least 100. */
  readonly breaker?: BreakerOptions | "off" | undefined;
  /** For a handler: the step before which an event goes on that gets a value; default: behind the step that failed. */
  readonly into?: string | undefined;
}

/** A window's result with the values themselves. Times in milliseconds since the epoch; the window is [start, end). */
export interface WindowValues<T> {
  readonly key: string | undefined;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly values: readonly T[];
}

/** A window's result with what its `fold` made of the values. */
export interface WindowValue<R> {
  readonly key: string | undefined;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly value: R;
}

/** The result that goes with what was given as `fold`: nothing, an aggregate (with the result R), or several by name (F). */
export type WindowResult<T, R, F> = [F] extends [never]
  ? WindowValues<T>
  : string extends keyof F
    ? WindowValue<R>
    : WindowValue<FoldedValues<F>>;

/** What an asynchronous function gives back: the thing or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>;
