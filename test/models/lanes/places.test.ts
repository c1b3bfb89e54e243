import assert from "node:assert/strict";
import { test } from "node:test";

import { from, memorySink, memorySource, processes, threads } from "millrace";
import { runPipeline } from "millrace/testing";

import type double from "../products/double.ts";

const MODEL = import.meta.resolve("../products/double.ts");

for (const [place, spec] of [
  ["on threads", threads<typeof double>(MODEL)],
  ["in processes", processes<typeof double>(MODEL)],
  ["in a pool of processes", processes<typeof double>(MODEL, { pool: "shared", processes: 2 })],
] as const) {
  test(`a model ${place} answers, and its results name it`, async () => {
    const plan = from(memorySource<number>([]))
      .infer(spec)
      .map((value, event) => `${value.toFixed(1)} by ${String(event.headers?.[0])}`)
      .to(memorySink());
    const { values } = await runPipeline(plan, [{ value: 1 }, { value: 2 }]);
    assert.deepEqual(values, ["2.0 by millrace-model,double@1", "4.0 by millrace-model,double@1"]);
  });
}
