import assert from "node:assert/strict";
import { test } from "node:test";

import { backoff } from "../../src/pipeline/call.ts";

test("back-off doubles from its factor and ends at 120 seconds", () => {
  const waits = (factor: number, attempts: number) => Array.from({ length: attempts }, (_, index) => backoff(factor, index + 1));
  assert.deepEqual(waits(1, 9), [1, 2, 4, 8, 16, 32, 64, 120, 120]);
  assert.deepEqual(waits(3, 7), [3, 6, 12, 24, 48, 96, 120]);
  assert.deepEqual(waits(0.5, 2), [0.5, 1]);
  assert.deepEqual(waits(0, 3), [0, 0, 0]);
});
