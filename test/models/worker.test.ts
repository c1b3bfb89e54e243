import assert from "node:assert/strict";
import { test } from "node:test";

import { from, memorySink, memorySource, sink, worker } from "millrace";
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

/** @param url a model's */
function planOf(url: string) {
  return from(memorySource<number>([]))
    .infer(worker<typeof double>(url), { onError: "deadLetter" })
    .deadLetter(sink({ file: { path: "letters.ndjson" } }))
    .to(memorySink());
}

test("an error in the place of an output names the model", async () => {
  const { values, letters } = await runPipeline(planOf(import.meta.resolve("./products/odd.ts")), [{ value: 1 }, { value: 2 }]);
  assert.deepEqual(values, [2]);
  assert.deepEqual(
    letters.map(({ message }) => message),
    ["model odd@1: 1 is odd"],
  );
});

test("a model that takes inputs away has given too few results", async () => {
  const { values, letters } = await runPipeline(planOf(import.meta.resolve("./products/shortens.ts")), [{ value: 1 }]);
  assert.deepEqual(values, []);
  assert.match(letters[0]?.message ?? "", /^model shortens@1: the model returned 0 results for 1 inputs/);
});

test("a version that no header can carry is refused where the model is loaded", async () => {
  await assert.rejects(
    runPipeline(planOf(import.meta.resolve("./products/two-lines.ts")), []),
    /two-lines\.ts: the model's version must be text .* without line breaks/,
  );
});
