import assert from "node:assert/strict";
import { test } from "node:test";

import { PackingMemory } from "../../../src/models/tensors/packing-memory.ts";
import { predictRows } from "../../../src/models/tensors/predict.ts";
import type { TensorModel } from "../../../src/models/tensors/predict.ts";
import type { Tensor } from "../../../src/models/tensors/tensor.ts";

/** A model that gives the sum of each row, and what it was asked. */
function sums(shape: readonly number[]): TensorModel & { readonly asked: (readonly number[])[] } {
  const asked: (readonly number[])[] = [];
  const run = async ([x]: readonly Tensor[], rows: number): Promise<readonly Tensor[]> => {
    asked.push(x!.shape);
    const data = x!.data as Float32Array;
    const size = data.length / rows;
    const sum = Float32Array.from({ length: rows }, (_, row) =>
      data.subarray(row * size, (row + 1) * size).reduce((total, element) => total + element, 0),
    );
    return [{ name: "sum", datatype: "FP32", shape: [rows], data: sum }];
  };
  return { identity: { name: "sums", version: "1" }, inputs: [{ name: "x", datatype: "FP32", shape }], run, asked };
}

const said = (outputs: ArrayLike<unknown>) =>
  Array.from(outputs, (output) => (typeof output === "number" ? output : (output as { error: Error }).error.message));

test("all rows go in one call", async () => {
  const model = sums([2]);
  assert.deepEqual(said(await predictRows(model, [[1, 2], Float32Array.of(3, 4)])), [3, 7]);
  assert.deepEqual(model.asked, [[2, 2]]);
});

test("a row that is no input fails alone, and the error names the model", async () => {
  const outputs = await predictRows(sums([2]), [[1, 2], [3], [4, 5]]);
  assert.deepEqual(said(outputs), [3, 'model sums@1: input "x": expected 2 numbers (FP32 [2]), got 1 element', 9]);
});

test("rows of several shapes are answered in their order", async () => {
  const model = sums([-1]);
  assert.deepEqual(said(await predictRows(model, [[1], [2, 3], [4], "text"])), [
    1,
    5,
    4,
    'model sums@1: input "x": expected 1 number (FP32 [1]), got text',
  ]);
  assert.deepEqual(model.asked, [
    [2, 1],
    [1, 2],
  ]);
});

test("memory of one call is used again for the next, and never for another that is under way", async () => {
  const model = sums([2]);
  const seen: Float32Array[] = [];
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const slow: TensorModel = {
    ...model,
    memory: new PackingMemory(),
    run: async (inputs, rows) => {
      seen.push(inputs[0]!.data as Float32Array);
      if (seen.length === 1) await held;
      return await model.run(inputs, rows);
    },
  };
  const first = predictRows(slow, [
    [1, 2],
    [3, 4],
  ]);
  assert.deepEqual(said(await predictRows(slow, [[5, 6]])), [11]);
  letGo();
  assert.deepEqual(said(await first), [3, 7]);
  assert.deepEqual(said(await predictRows(slow, [Float32Array.of(1, 1), Float32Array.of(2, 2)])), [2, 4]);
  assert.notEqual(seen[1]?.buffer, seen[0]?.buffer);
  assert.equal(seen[2]?.buffer, seen[0]?.buffer);
});

test("nothing is asked where no row is an input", async () => {
  const model = sums([2]);
  assert.equal((await predictRows(model, ["a", "b"])).length, 2);
  assert.deepEqual(model.asked, []);
});
