import assert from "node:assert/strict";
import { test } from "node:test";

import { countCall, countEnd, countError, countQueued, noModelStats, ROW_BOUNDS, TIME_BOUNDS } from "../src/model-stats.ts";

test("a call is counted by its rows and by how long it took, also when it fails", () => {
  const stats = noModelStats();
  countQueued(stats, 0.002);
  countCall(stats, 64);
  assert.equal(stats.inFlight, 1);
  countError(stats, "TypeError");
  countEnd(stats, 0.3);
  countCall(stats, 65);
  countEnd(stats, 3600);
  const { calls, rows, inFlight, batchSizes, queueSeconds, queueTimes, predictSeconds, predictTimes, errors } = stats;
  assert.deepEqual(
    { calls, rows, inFlight, queueSeconds, predictSeconds },
    { calls: 2, rows: 129, inFlight: 0, queueSeconds: 0.002, predictSeconds: 3600.3 },
  );
  assert.deepEqual(inBuckets(ROW_BOUNDS, batchSizes), { 64: 1, 128: 1 });
  assert.deepEqual(inBuckets(TIME_BOUNDS, queueTimes), { 0.0025: 1 });
  assert.deepEqual(inBuckets(TIME_BOUNDS, predictTimes), { 0.5: 1, more: 1 });
  assert.deepEqual([...errors], [["TypeError", 1]]);
});

/** The counts that are not 0, by the upper bound of their bucket. */
function inBuckets(bounds: readonly number[], counts: readonly number[]): Record<string, number> {
  return Object.fromEntries(
    counts.map((count, index) => [String(bounds[index] ?? "more"), count] as const).filter(([, count]) => count > 0),
  );
}
