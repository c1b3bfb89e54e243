import assert from "node:assert/strict";
import { copyFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { onnx } from "millrace";

import { lookAt } from "../../../src/models/onnx/model-file.ts";
import processModel from "../../../src/models/onnx/process-model.ts";
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

test("a process that takes the place of a killed one does not answer by another file in the old one's name", async (t) => {
  const path = join(tempFolder(t), "model.onnx");
  copyFileSync(modelFile("double"), path);
  const file = await lookAt(path, {});
  const context = { settings: { file, options: {} }, signal: AbortSignal.any([]) };
  await processModel.load?.(context);
  const [row] = Array.from(await processModel.predict([[1, 2, 3]], context));
  assert.deepEqual(row, Float32Array.of(2, 4, 6));
  await processModel.unload?.();
  copyFileSync(modelFile("one-row"), path);
  await assert.rejects(async () => await processModel.load?.(context), {
    name: "ConfigError",
    message: `${path}: it is not what model@7 was loaded from any more: it serves again once the new file is loaded`,
  });
});
