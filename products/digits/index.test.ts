import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { planOf, runPipeline } from "millrace/testing";

import type { Reading } from "./image.ts";
import product from "./index.ts";

const config = { input: { file: { path: "unused.ndjson" } }, output: { memory: { name: "unused" } } };

const heldOut = readFileSync(new URL("./data/held-out.ndjson", import.meta.url), "utf8")
  .trim()
  .split("\n");

const read = (lines: readonly string[], more: { deadLetters?: { file: { path: string } }; model?: "processes" } = {}) =>
  runPipeline<Reading>(
    planOf(product, { ...config, ...more }),
    lines.map((line) => ({ value: Buffer.from(line) })),
    { batchSize: 100 },
  );

test("reads 350 of the 360 pictures that the model was not trained on", async () => {
  const { values } = await read(heldOut);
  const labels = heldOut.map((line) => JSON.parse(line) as { readonly id: string; readonly digit: number });
  assert.deepEqual(
    values.map(({ id }) => id),
    labels.map(({ id }) => id),
  );
  assert.equal(labels.filter(({ digit }, index) => values[index]?.digit === digit).length, 350);
});

test("each result is keyed by its picture's id, and says how sure the model is and which it was", async () => {
  const { sinks } = await read(heldOut.slice(0, 1));
  const [event] = sinks[0] ?? [];
  assert.deepEqual(
    { ...event?.value, probability: event?.value.probability.toFixed(3) },
    { id: "held-out-0", digit: 7, probability: "0.950" },
  );
  assert.equal(event?.key, "held-out-0");
  assert.deepEqual(event?.headers, [["millrace-model", "digits@1"]]);
});

test("a picture that is none is a dead letter, or ends the task", async () => {
  const small = JSON.stringify({ id: "small", pixels: [1, 2, 3] });
  const message = 'model digits@1: input "pixels": expected 64 numbers (FP32 [64]), got 3 elements';
  const { values, letters } = await read([heldOut[0] ?? "", small, heldOut[1] ?? ""], { deadLetters: { file: { path: "unused.ndjson" } } });
  assert.equal(values.length, 2);
  assert.deepEqual(
    letters.map((letter) => [letter.offset, letter.step, letter.message]),
    [[1, "infer", message]],
  );
  await assert.rejects(read([small]), { name: "DataError", message: `step "infer" at memory test/0@0: ${message}` });
});

test("in child processes it reads exactly the same", async () => {
  assert.deepEqual((await read(heldOut, { model: "processes" })).sinks, (await read(heldOut)).sinks);
});
