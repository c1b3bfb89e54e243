/**
 * One model in all places that can run it: the held-out pictures of the digits product give the same bytes everywhere.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";

import type { ModelSpec, Plan } from "millrace";
import { from, memorySink, memorySource, onnx, openInference } from "millrace";
import { planOf, runPipeline } from "millrace/testing";

import product from "../../products/digits/index.ts";
import { readDigits } from "../../products/digits/read-digits.ts";
import { OnnxModel } from "../../src/models/onnx/onnx-model.ts";
import type { OpenInferenceServer } from "../support/open-inference/server.ts";
import { openInferenceServer } from "../support/open-inference/server.ts";

const products = new URL("../../products/digits/", import.meta.url);
const path = fileURLToPath(new URL("digits.onnx", products));
const pictures = readFileSync(new URL("data/held-out.ndjson", products), "utf8").trim().split("\n");

/** Rows a batch: results must not depend on which rows are asked for together. */
const BATCH_SIZES = [360, 7];

/** What comes out, as it would be written. */
async function written(plan: Plan, batchSize: number): Promise<string> {
  const run = await runPipeline(
    plan,
    pictures.map((value) => ({ value: Buffer.from(value) })),
    { batchSize },
  );
  return (run.sinks[0] ?? []).map((event) => JSON.stringify([event.key, event.time, event.headers, event.value])).join("\n");
}

const expected = await written(planOf(product, { input: { generator: {} }, output: { memory: { name: "unused" } } }), 360);

async function isSame(plan: Plan): Promise<void> {
  for (const batchSize of BATCH_SIZES) assert.equal(await written(plan, batchSize), expected);
}

/** The pipeline of the product, with its model somewhere else. */
function reading(model: ModelSpec<readonly number[], Float32Array>): Plan {
  return readDigits(from(memorySource<unknown>([])), model).to(memorySink());
}

/** A server that serves the same file. */
async function serve(t: TestContext): Promise<OpenInferenceServer> {
  const model = await OnnxModel.open({ path, identity: { name: "digits", version: "1" } }, {});
  t.after(() => model[Symbol.asyncDispose]());
  const outputs = [{ name: "probabilities", datatype: "FP32", shape: [10] }] as const;
  return await openInferenceServer(t, { ...model.identity, inputs: model.inputs, outputs, predict: (inputs) => model.run(inputs) });
}

suite("the digits product gives the same results, byte for byte,", () => {
  test("whatever rows come together", () => isSame(reading(onnx(path))));

  test("in child processes", () =>
    isSame(planOf(product, { input: { generator: {} }, output: { memory: { name: "unused" } }, place: "process" })));

  for (const protocol of ["http", "grpc"] as const) {
    for (const binary of [true, false]) {
      test(`from a server, over ${protocol} with ${binary ? "binary tensors" : "tensors as numbers"}`, async (t) => {
        const server = await serve(t);
        await isSame(reading(openInference({ url: server[protocol], model: "digits", binary })));
        assert.ok(server.asked.length >= BATCH_SIZES.length);
      });
    }
  }
});
