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
  };
}
