import { PlanError } from "./errors.ts";

/** A length of time: milliseconds, or a number with a unit such as `"500ms"`, `"10s"`, `"1.5m"`, `"1h"`, `"7d"`. */
export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** What a duration must look like, for schemas and messages. */
export const DURATION_FORM = 'milliseconds, or a number with a unit: "500ms", "10s", "5m", "1h", "7d"';

/**
 * Reads a duration.
 * @param name what the duration is for; named in the error
 * @returns milliseconds, never negative
 * @throws {PlanError} when it is none
 */
export function milliseconds(duration: Duration, name: string): number {
  const parsed = parseDuration(duration);
  if (parsed === undefined) throw new PlanError(`${name}: ${JSON.stringify(duration)} is no duration; give ${DURATION_FORM}`);
  return parsed;
}

/** Reads a duration like `milliseconds`, and refuses 0. */
export function positiveMilliseconds(duration: Duration, name: string): number {
  const parsed = milliseconds(duration, name);
  if (parsed === 0) throw new PlanError(`${name}: must be longer than 0`);
  return parsed;
}

/** Milliseconds, or undefined when it is no duration. */
export function parseDuration(duration: unknown): number | undefined {
  if (typeof duration === "number") return Number.isFinite(duration) && duration >= 0 ? duration : undefined;
  if (typeof duration !== "string") return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(duration.trim());
  const unit = UNITS[match?.[2] ?? ""];
  if (unit === undefined) return undefined;
  const ms = Math.round(Number(match?.[1]) * unit);
  return Number.isFinite(ms) ? ms : undefined;
}
