import type { BackOffSettings } from "../config/settings.ts";

/** Numbers from 0 to below 1, as `Math.random`; tests give a seeded one. */
export type Random = () => number;

/**
 * The wait before failure number `failures` (from 1) is tried again: `min`, doubling up to `max`, less up to a half at
 * random, so that what failed together does not come back together.
 * @returns milliseconds
 */
export function backOff(failures: number, settings: Pick<BackOffSettings, "min" | "max">, random: Random): number {
  const full = Math.min(settings.max, settings.min * 2 ** Math.min(failures - 1, 40));
  return full * (1 - random() / 2);
}
