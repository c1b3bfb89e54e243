import { isDeepStrictEqual } from "node:util";

import type { Fields } from "./case.ts";
import { isFields, UnknownCase } from "./case.ts";

/** What Millrace did with a case, by the names that cases have for it. */
export type Seen = Fields;

/** Times in cases are seconds, measured to about so much. */
const TOLERANCE = 0.03;

/** Names of what is or holds times. */
const TIMES = /(?:_|\b)(?:t|s|at)(?:_|$)|sleeps|responses/;

/**
 * What of the target is not as it was seen; undefined when all is.
 * @throws {UnknownCase} when the target asks for something that is not looked at
 */
export function difference(target: unknown, seen: Seen): string | undefined {
  const wanted = isFields(target) ? target : { output: target };
  for (const [name, value] of Object.entries(wanted)) {
    if (!Object.hasOwn(seen, name)) throw new UnknownCase(`nobody looks at ${JSON.stringify(name)}`);
    const tolerance = TIMES.test(name) ? TOLERANCE : 0;
    if (!isSame(value, seen[name], tolerance)) return `expected ${name} ${shown(value)}, got ${shown(seen[name])}`;
  }
  return undefined;
}

/** What a value may be: each of these is right. For cases that name things as they like. */
export class AnyOf {
  readonly values: readonly unknown[];

  constructor(...values: readonly unknown[]) {
    this.values = values;
  }
}

/** Whether two values are the same, numbers but for so much. */
export function isSame(wanted: unknown, seen: unknown, tolerance = 0): boolean {
  if (seen instanceof AnyOf) return seen.values.some((value) => isSame(wanted, value, tolerance));
  if (typeof wanted === "number" && typeof seen === "number") return Math.abs(wanted - seen) <= tolerance || Object.is(wanted, seen);
  if (Array.isArray(wanted) && Array.isArray(seen)) {
    return wanted.length === seen.length && wanted.every((each, index) => isSame(each, seen[index], tolerance));
  }
  if (isFields(wanted) && isFields(seen)) {
    const names = Object.keys(wanted);
    return names.length === Object.keys(seen).length && names.every((name) => isSame(wanted[name], seen[name], tolerance));
  }
  return isDeepStrictEqual(wanted, seen);
}

function shown(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (each instanceof AnyOf ? each.values[0] : each)) ?? "undefined";
}
