import type { Duration } from "../../duration.ts";
import { positiveMilliseconds } from "../../duration.ts";
import { messageOf, PlanError } from "../../errors.ts";
import type { RunnerContext } from "../../model.ts";
import { wholeNumber as countOf } from "../../pipeline/given.ts";

/** Options of both `threads` and `processes`. */
export interface LaneOptions {
  /** Plain data for the model's `load`. */
  readonly settings?: unknown;
  /**
   * Calls that each thread or process has at a time, at least 1; default 2: it works on one, and finds the next when that is done. More
   * only take rows away from being joined.
   */
  readonly maxInFlight?: number | undefined;
  /** How often a call is given to another thread or process since its own died, before its input is taken for the cause; default 1. */
  readonly redeliver?: number | undefined;
  /** How long a thread or process may go on with a call whose time is up, before it is taken for hanging and replaced; default "1s". */
  readonly grace?: Duration | undefined;
  /** How long it may be silent with calls in flight, before it is taken for hanging and replaced; default "1m". */
  readonly hangAfter?: Duration | undefined;
}

/** The same with durations in milliseconds. */
export interface CheckedLaneOptions {
  readonly maxInFlight: number;
  readonly redeliver: number | undefined;
  readonly grace: number | undefined;
  readonly hangAfter: number | undefined;
}

const DEFAULT_IN_FLIGHT = 2;

/**
 * @param place `threads` or `processes`, for errors
 * @throws {PlanError} when an option is out of its range
 */
export function checkedLaneOptions(place: string, options: LaneOptions): CheckedLaneOptions {
  const { maxInFlight, redeliver, grace, hangAfter, settings } = options;
  try {
    structuredClone(settings);
  } catch (error) {
    throw new PlanError(`${place}: settings must be plain data: ${messageOf(error)}`);
  }
  return {
    maxInFlight: wholeNumber(place, "maxInFlight", maxInFlight, 1) ?? DEFAULT_IN_FLIGHT,
    redeliver: wholeNumber(place, "redeliver", redeliver, 0),
    grace: grace === undefined ? undefined : positiveMilliseconds(grace, `${place}: grace`),
    hangAfter: hangAfter === undefined ? undefined : positiveMilliseconds(hangAfter, `${place}: hangAfter`),
  };
}

/** @throws {PlanError} when it is given and no whole number, or smaller */
export function wholeNumber(place: string, option: string, given: number | undefined, least: number): number | undefined {
  return given === undefined ? undefined : countOf(`${place}: ${option}`, given, least);
}

/** How many threads or processes a model gets; 0: it runs in the worker itself, as it does where a debugger is to stop in it. */
export function lanesFor(wanted: number | undefined, { settings, mode }: RunnerContext): number {
  if (mode === "debug" || settings.parallelWorkers === 0) return 0;
  return wanted ?? settings.parallelWorkers;
}
