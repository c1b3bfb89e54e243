import assert from "node:assert/strict";
import { test } from "node:test";

import { planOf, runPipeline } from "millrace/testing";

import product from "./index.ts";

test("doubles numbers, and drops what has none", async () => {
  const plan = planOf(product, { input: { generator: {} }, output: { memory: { name: "unused" } } });
  const run = await runPipeline(plan, [{ value: Buffer.from('{"n":21}') }, { value: '{"m":1}' }, { value: { n: 1 } }]);
  assert.deepEqual(run.values, [{ n: 42 }, { n: 2 }]);
  assert.equal(run.counters.filtered, 1);
});
