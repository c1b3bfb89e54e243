import assert from "node:assert/strict";
import { test } from "node:test";

import { from, memorySink, memorySource, worker } from "millrace";
import { runPipeline } from "millrace/testing";

import type double from "./products/double.ts";

test("a model in the worker answers, and its results name it", async () => {
  const plan = from(memorySource<number>([]))
    .infer(worker<typeof double>(import.meta.resolve("./products/double.ts")))
    .map((value, event) => `${value.toFixed(1)} by ${String(event.headers?.[0])}`)
    .to(memorySink());
  const { values } = await runPipeline(plan, [{ value: 1 }, { value: 2 }]);
  assert.deepEqual(values, ["2.0 by millrace-model,double@1", "4.0 by millrace-model,double@1"]);
});
