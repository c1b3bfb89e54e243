import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { suite, test } from "node:test";

import type { OnnxOptions } from "millrace";
import { onnx } from "millrace";
import { runPipeline } from "millrace/testing";

import { tempFolder } from "../../support/temp-folder.ts";
import { modelFile, planOfModel } from "./onnx-plan.ts";

async function isRefused(path: string, error: RegExp, options: OnnxOptions = {}): Promise<void> {
  await assert.rejects(runPipeline(planOfModel(onnx(path, options)), [{ value: [1, 2, 3] }]), (thrown: Error) => {
    assert.equal(thrown.name, "ConfigError");
    assert.ok(thrown.message.startsWith(`${path}: `), thrown.message);
    assert.match(thrown.message, error);
    return true;
  });
}

function written(t: TestContext, bytes: string | Uint8Array): string {
  const path = join(tempFolder(t), "model.onnx");
  writeFileSync(path, bytes);
  return path;
}

suite("a file that can't be used as an ONNX model is a fault of the settings, told with its path", () => {
  test("it is missing", (t) => isRefused(join(tempFolder(t), "none.onnx"), /the ONNX model can't be read: ENOENT/));
  test("it is a folder", (t) => isRefused(tempFolder(t), /the ONNX model can't be read: EISDIR/));
  test("it is empty", (t) => isRefused(written(t, ""), /the ONNX model is an empty file/));
  test("it is no model", (t) =>
    isRefused(written(t, "not a model at all\n"), /ONNX Runtime can't load the model: .*[Pp]rotobuf parsing failed/));
  test("it is cut off", (t) =>
    isRefused(written(t, readFileSync(modelFile("shift")).subarray(0, 100)), /ONNX Runtime can't load the model/));
  test("it has no input", () => isRefused(modelFile("constant"), /the model can't be asked for rows: it has no input/));
  test("none of its outputs is wanted", () =>
    isRefused(modelFile("shift"), /none of its outputs is wanted: it has moved, back/, { outputs: [] }));
  test("it has no dimension for rows", () => isRefused(modelFile("scalar"), /its input "x" has no dimension for rows/));
  test("it takes a fixed number of rows", () => isRefused(modelFile("four-rows"), /it takes exactly 4 rows at a time/));
  test("it takes numbers that no array here holds", () => isRefused(modelFile("half"), /its input "x" is of the type float16/));
  test("an output is no tensor", () => isRefused(modelFile("sequence"), /its output "both" is no tensor: name those that are in outputs/));
  test("an output that is wanted is not there", () =>
    isRefused(modelFile("shift"), /it has no output "moves": it has moved, back/, { outputs: ["moves"] }));
  test("it fails on what it is to be warmed up with", () =>
    isRefused(modelFile("double"), /the model fails on its warmUp rows: .*expected 3 numbers/, { warmUp: [[1]] }));
});

test("of a model with an output that is no tensor the others can be used", async () => {
  const run = await runPipeline(planOfModel(onnx(modelFile("sequence"), { outputs: ["y"] })), [{ value: 1 }, { value: 2 }]);
  assert.deepEqual(run.values, [-1, -2]);
});
