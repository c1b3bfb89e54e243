import assert from "node:assert/strict";
import { suite, test } from "node:test";

import type { OnnxOptions } from "millrace";
import { from, memorySink, memorySource, onnx } from "millrace";
import { runPipeline } from "millrace/testing";

import { modelFile, onnxPlan } from "./onnx-plan.ts";

/** What a model's step makes of rows: how many are answered, and the errors of the dead letters, in order. */
async function asked(name: string, rows: readonly unknown[], options: OnnxOptions = {}) {
  const run = await runPipeline(
    onnxPlan(name, options),
    rows.map((value) => ({ value })),
  );
  assert.equal(run.position, rows.length);
  return {
    answered: run.values.length,
    errors: run.letters.map(({ step, offset, error, message }) => `${step} at ${offset}: ${error}: ${message}`),
  };
}

const GOOD = [1, 2, 3];

suite("a row that is no input of an ONNX model fails alone, told with model, version, input and event", () => {
  const cases: readonly { readonly what: string; readonly row: unknown; readonly error: RegExp }[] = [
    { what: "too short", row: [1, 2], error: /expected 3 numbers \(FP32 \[3\]\), got 2 elements/ },
    { what: "too long", row: Float32Array.of(1, 2, 3, 4), error: /expected 3 numbers \(FP32 \[3\]\), got 4 elements of a Float32Array/ },
    { what: "nested otherwise", row: [[1, 2, 3]], error: /expected 3 numbers \(FP32 \[3\]\), got 1 × 3 elements/ },
    { what: "one number", row: 1, error: /expected 3 numbers \(FP32 \[3\]\), got a whole number/ },
    { what: "text", row: "123", error: /expected 3 numbers \(FP32 \[3\]\), got text/ },
    { what: "texts", row: ["1", "2", "3"], error: /expected finite numbers \(FP32\), got text as element 0/ },
    { what: "nothing", row: undefined, error: /expected 3 numbers \(FP32 \[3\]\), got nothing/ },
    { what: "NaN", row: [1, Number.NaN, 3], error: /expected finite numbers \(FP32\), got NaN as element 1/ },
    { what: "NaN in a typed array", row: Float32Array.of(1, 2, Number.NaN), error: /got NaN as element 2/ },
    { what: "infinite", row: [Number.NEGATIVE_INFINITY, 2, 3], error: /got infinity as element 0/ },
    { what: "too large for its type", row: [1e39, 2, 3], error: /expected finite numbers \(FP32\)/ },
    { what: "of another name", row: { z: GOOD }, error: /the input "x" is missing: the object has z/ },
  ];
  for (const { what, row, error } of cases) {
    test(what, async () => {
      const { answered, errors } = await asked("double", [GOOD, row, GOOD]);
      assert.equal(answered, 2);
      assert.equal(errors.length, 1);
      assert.match(errors[0] ?? "", /^infer at 1: InputError: model double@7: /);
      assert.match(errors[0] ?? "", error);
    });
  }

  test("one of several inputs is missing, or of another type", async () => {
    const { answered, errors } = await asked("shift", [
      { point: [1, 2], by: 1 },
      { point: [1, 2] },
      { point: [1, 2], by: 1.5 },
      { point: [1, 2, 3], by: 1 },
      { point: [1, 2], by: 2 },
    ]);
    assert.equal(answered, 2);
    assert.deepEqual(
      errors.map((error) => error.replace(/^infer at (\d): InputError: model shift@[0-9a-f]{8}: /, "$1 ")),
      [
        '1 the input "by" is missing: the object has point',
        '2 input "by": expected whole numbers from -9223372036854775808 to 9223372036854775807 (beyond 2^53 as bigint) (INT64), got a fraction as element 0',
        '3 input "point": expected 2 numbers (FP32 [2]), got 3 elements',
      ],
    );
  });

  test("the model itself fails on it", async () => {
    const { answered, errors } = await asked("lookup", [0, 1, 7, 2, 0, -9, 1]);
    assert.equal(answered, 5);
    assert.deepEqual(
      errors.map((error) =>
        /^infer at (\d): .*model lookup@[0-9a-f]{8}: .*indices element out of data bounds, idx=(-?\d+)/.exec(error)?.slice(1),
      ),
      [
        ["2", "7"],
        ["5", "-9"],
      ],
    );
  });
});

test("it is not tried again, and can be skipped", async () => {
  const plan = from(memorySource<unknown>([]))
    .infer(onnx(modelFile("double")), { retries: 3, onError: { InputError: "skip", default: "fail" } })
    .to(memorySink());
  const run = await runPipeline(plan, [{ value: GOOD }, { value: "no numbers" }, { value: GOOD }]);
  assert.deepEqual([run.values.length, run.counters.skipped, run.counters.retried], [2, 1, 0]);
});

test("without a policy the task stops at it, with everything before it delivered", async () => {
  const plan = from(memorySource<unknown>([]))
    .infer(onnx(modelFile("double")))
    .to(memorySink());
  await assert.rejects(runPipeline(plan, [{ value: GOOD }, { value: [1, 2] }, { value: GOOD }]), {
    name: "DataError",
    message: 'step "infer" at memory test/0@1: model double@7: input "x": expected 3 numbers (FP32 [3]), got 2 elements',
  });
});
