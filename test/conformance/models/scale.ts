import { setTimeout as delay } from "node:timers/promises";

import type { PredictContext } from "millrace";
import { defineModel, failed, RetryableError } from "millrace";

/** What the model does in the place of an answer, by the first number of a row. */
export const DO = { throw: -1, fail: -2, lose: -3, nothing: -4, later: -5, never: -6 } as const;

/** The rows that were asked to come later, by their second number. */
const asked = new Set<number>();

/** What the row of a call makes of it. */
export async function scaled(rows: readonly ArrayLike<number>[], { signal }: PredictContext): Promise<Float32Array[]> {
  const does = (what: number) => rows.find((row) => row[0] === what);
  if (does(DO.throw) !== undefined) throw new TypeError("no row begins with -1");
  const later = does(DO.later)?.[1];
  if (later !== undefined && !asked.has(later)) {
    asked.add(later);
    throw new RetryableError("ask again later");
  }
  if (does(DO.never) !== undefined) await delay(100_000, undefined, { signal });
  if (does(DO.nothing) !== undefined) return undefined as never;
  const kept = does(DO.lose) === undefined ? rows : rows.slice(1);
  return kept.map((row) => (row[0] === DO.fail ? failed(new RangeError("not this row")) : Float32Array.from(row, (n) => n * 2)));
}

/** Three numbers → twice as many of each. */
export default defineModel({
  name: "scale",
  version: "3",
  load: ({ settings }) => {
    if (settings === "broken") throw new Error("its weights are gone");
  },
  predict: scaled,
});
