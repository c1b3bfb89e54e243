import assert from "node:assert/strict";
import { test } from "node:test";

import type { Tensor } from "../../../src/models/tensors/tensor.ts";
import { unpackRows } from "../../../src/models/tensors/unpack.ts";

const probabilities: Tensor = { name: "p", datatype: "FP32", shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
const label: Tensor = { name: "label", datatype: "INT64", shape: [2], data: BigInt64Array.of(7n, 8n) };

test("one output: its elements, or views of it", () => {
  assert.deepEqual(Array.from(unpackRows([label], 2)), [7n, 8n]);
  const rows = Array.from(unpackRows([probabilities], 2)) as Float32Array[];
  assert.deepEqual(rows, [Float32Array.of(1, 2), Float32Array.of(3, 4)]);
  assert.equal(rows[1]?.buffer, probabilities.data instanceof Float32Array && probabilities.data.buffer);
  assert.deepEqual(Array.from(unpackRows([{ name: "b", datatype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) }], 2)), [true, false]);
  assert.deepEqual(Array.from(unpackRows([{ name: "t", datatype: "BYTES", shape: [1, 2], data: ["a", "b"] }], 1)), [["a", "b"]]);
});

test("several outputs: an object by their names", () => {
  assert.deepEqual(Array.from(unpackRows([label, probabilities], 2)), [
    { label: 7n, p: Float32Array.of(1, 2) },
    { label: 8n, p: Float32Array.of(3, 4) },
  ]);
});

test("a reply that is not a row for each row is an error", () => {
  const wrong: readonly [readonly Tensor[], string][] = [
    [[{ ...probabilities, shape: [4, 1] }], 'the model returned 4 rows in its output "p" (shape [4,1]) for 2 inputs'],
    [[label, { ...probabilities, shape: [] }], 'the output "p" has no rows: its shape is []'],
    [[{ ...probabilities, shape: [2, 3] }], 'the output "p" has 4 elements, where its shape [2,3] needs 6'],
    [[], "the model returned no output"],
  ];
  for (const [tensors, message] of wrong) assert.throws(() => unpackRows(tensors, 2), { name: "RowCountError", message });
});
