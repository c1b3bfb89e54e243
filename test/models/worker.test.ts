import assert from "node:assert/strict";
import { test } from "node:test";

import { from, memorySink, memorySource, PlanError, processes, sink, threads, worker } from "millrace";
import { runPipeline } from "millrace/testing";

import { checkModule } from "../../src/models/load-module.ts";
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

test("a call that never ends takes no place from those behind it when its time is up", async () => {
  const url = import.meta.resolve("./products/hangs.ts");
  const plan = from(memorySource<number>([]))
    .infer(worker<typeof double>(url), { batch: { maxSize: 1 }, timeout: "200ms", onError: "deadLetter" })
    .deadLetter(sink({ file: { path: "letters.ndjson" } }))
    .to(memorySink());
  const { values, letters } = await runPipeline(plan, [{ value: 0 }, { value: 1 }, { value: 2 }, { value: 3 }], { batchSize: 1 });
  // What waited behind it may be late as well, but not for ever.
  assert.ok(letters.length >= 1);
  assert.equal(values.length + letters.length, 4);
  assert.equal(values[0], 0);
});

test("a model that never unloads holds up no stop for ever", async () => {
  const { values } = await runPipeline(planOf(import.meta.resolve("./products/stays.ts")), [{ value: 1 }]);
  assert.deepEqual(values, [1]);
});

test("a class is refused where the model is loaded", async () => {
  await assert.rejects(runPipeline(planOf(import.meta.resolve("./products/class.ts")), []), /class\.ts: its default export is a class/);
});

test("a warm-up with the wrong number of results keeps a model from being used", async () => {
  const plan = planOf(import.meta.resolve("./products/cold.ts"));
  await assert.rejects(runPipeline(plan, []), /model cold@1: the model returned 1 results for 2 inputs/);
});

test("a model's file that waits for something is told where it is looked at", async () => {
  await assert.rejects(checkModule(import.meta.resolve("./products/waits.ts")), /waits\.ts: the model is not imported after 5 s/);
});

for (const [name, place] of Object.entries({ worker, threads, processes })) {
  for (const url of ["./model.ts", "/models/model.ts", "http://models/model.ts"]) {
    test(`${name}("${url}") is refused when the plan is built`, () => {
      assert.throws(
        () => place(url),
        (error) => error instanceof PlanError && error.message.startsWith(`${name}: give the URL of the model's file`),
      );
    });
  }
}
