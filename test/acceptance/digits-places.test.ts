/**
 * One model in all places that can run it: the held-out pictures of the digits product give the same bytes everywhere.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";

import type { ModelConfig, Plan } from "millrace";
import { planOf, runPipeline } from "millrace/testing";

import product from "../../products/digits/index.ts";
import { OnnxModel } from "../../src/models/onnx/onnx-model.ts";
import { httpServer, json } from "../support/http-server.ts";
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

/** The product with its model somewhere. */
function digits(model: ModelConfig): Plan {
  return planOf(product, { input: { generator: {} }, output: { memory: { name: "unused" } }, model });
}

const expected = await written(digits("worker"), pictures.length);

async function isSame(model: ModelConfig): Promise<void> {
  for (const batchSize of BATCH_SIZES) assert.equal(await written(digits(model), batchSize), expected);
}

/** The same file, as servers serve it. */
async function served(t: TestContext): Promise<OnnxModel> {
  const model = await OnnxModel.open({ path, identity: { name: "digits", version: "1" } }, {});
  t.after(() => model[Symbol.asyncDispose]());
  return model;
}

async function serve(t: TestContext): Promise<OpenInferenceServer> {
  const model = await served(t);
  const outputs = [{ name: "probabilities", datatype: "FP32", shape: [10] }] as const;
  return await openInferenceServer(t, { ...model.identity, inputs: model.inputs, outputs, predict: (inputs) => model.run(inputs) });
}

suite("the digits product gives the same results, byte for byte,", () => {
  test("whatever rows come together", () => isSame("worker"));
  test("in child processes", () => isSame("processes"));
  test("as any ONNX file", () => isSame({ onnx: { path, settings: { intraOpNumThreads: 2 } } }));

  for (const protocol of ["http", "grpc"] as const) {
    for (const binary of [true, false]) {
      test(`from a server, over ${protocol} with ${binary ? "binary tensors" : "tensors as numbers"}`, async (t) => {
        const server = await serve(t);
        await isSame({ openInference: { url: server[protocol], model: "digits", binary } });
        assert.ok(server.asked.length >= BATCH_SIZES.length);
      });
    }
  }

  test("from any HTTP endpoint that answers with numbers in JSON", async (t) => {
    const model = await served(t);
    const answer = async (body: string) => {
      const probabilities = (await model.predict(JSON.parse(body) as number[][])) as Float32Array[];
      return probabilities.map((row) => Array.from(row));
    };
    const { url } = await httpServer(t, ({ body }, response) => void answer(body).then((rows) => json(response, rows)));
    await isSame({ http: { url, rows: "batch", ...model.identity } });
  });
});
