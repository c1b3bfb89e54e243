import type { Counters } from "../contracts.ts";

/** Counters of what has not begun. */
export function noCounts(): Counters {
  return {
    in: 0,
    out: 0,
    filtered: 0,
    deduplicated: 0,
    late: 0,
    failed: 0,
    deadLettered: 0,
    skipped: 0,
    retried: 0,
    inFlight: 0,
    shadowed: 0,
    shadowDiffering: 0,
    shadowFailed: 0,
    shadowDropped: 0,
    canaried: 0,
    canaryFailed: 0,
    fellBack: 0,
  };
}

/** The names of those that only rise. */
export const COUNTED = (Object.keys(noCounts()) as (keyof Counters)[]).filter(
  (name): name is Exclude<keyof Counters, "inFlight"> => name !== "inFlight",
);
