import assert from "node:assert/strict";
import { test } from "node:test";

import { datatypeOfOnnx, elementsOf, isDatatype, onnxNameOf } from "../../../src/models/tensors/datatypes.ts";

test("datatypes by the names of ONNX Runtime and of the Open Inference Protocol", () => {
  assert.equal(onnxNameOf("FP32"), "float32");
  assert.equal(datatypeOfOnnx("int64"), "INT64");
  assert.equal(datatypeOfOnnx("float16"), undefined);
  assert.equal(isDatatype("BYTES"), true);
  assert.equal(isDatatype("toString"), false);
});

test("floating-point numbers are out of range exactly where they are rounded to infinity", () => {
  const { max } = elementsOf("FP32")!;
  assert.equal(Number.isFinite(Math.fround(max as number)), true);
  assert.equal(Math.fround((max as number) * (1 + Number.EPSILON)), Infinity);
  assert.equal(elementsOf("BYTES"), undefined);
});
