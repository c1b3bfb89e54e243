import assert from "node:assert/strict";
import { copyFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { onnx } from "millrace";

import { openContext } from "../../support/open-context.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";
import { call } from "../versions/versioned-place.ts";
import { modelFile } from "./onnx-plan.ts";

test("a model is loaded anew when its file changes; one that is no model leaves the old one serving", async (t) => {
  const directory = tempFolder(t);
  const replace = (write: (file: string) => void) => {
    write(join(directory, "new"));
    renameSync(join(directory, "new"), join(directory, "model.onnx"));
  };
  replace((file) => copyFileSync(modelFile("double"), file));
  const context = openContext(t, { directory });
  const batching = { maxSize: 8, maxDelay: 0, maxQueuedRows: 100, maxQueuedBytes: 1000 };
  const model = await onnx("model.onnx").open(context, { step: "infer", batching });
  t.after(() => model[Symbol.asyncDispose]());
  using caller = model.caller({ name: "test", maxInFlight: 1, priority: 0 });
  const answer = async () => Array.from((await caller.predict([{ x: [1, 2, 3], index: 1 }], call())).outputs)[0];
  assert.deepEqual([model.identity, await answer()], [{ name: "model", version: "7" }, Float32Array.of(2, 4, 6)]);
  replace((file) => writeFileSync(file, "no model"));
  await until("what is no model is told of", () => context.lines.some((line) => line.includes("ONNX Runtime can't load the model")));
  assert.deepEqual(await answer(), Float32Array.of(2, 4, 6));
  replace((file) => copyFileSync(modelFile("lookup"), file));
  await until("the next model serves", async () => (await answer()) === 20);
});
