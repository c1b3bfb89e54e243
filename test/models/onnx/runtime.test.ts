import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { test } from "node:test";

import { onnx } from "millrace";
import { runPipeline } from "millrace/testing";

import { modelFile, planOfModel } from "./onnx-plan.ts";

const run = () => runPipeline(planOfModel(onnx(modelFile("double"))), [{ value: [1, 2, 3] }]);

test("where ONNX Runtime is not installed, or broken, the error says how to install it; nothing else needs it", async () => {
  const missing = registerHooks({
    resolve: (specifier, context, next) => next(specifier === "onnxruntime-node" ? "onnxruntime-node-is-not-here" : specifier, context),
  });
  await assert.rejects(run(), {
    name: "ConfigError",
    message: new RegExp(
      `^${modelFile("double")}: ONNX models need a package that is not installed: npm install onnxruntime-node .*ONNXRUNTIME_NODE_INSTALL=skip`,
    ),
  });
  missing.deregister();
  const broken = registerHooks({
    load: (url, context, next) =>
      url.includes("onnxruntime-node")
        ? { format: "module", source: "throw new Error('no such library')", shortCircuit: true }
        : next(url, context),
  });
  await assert.rejects(run(), {
    name: "ConfigError",
    message: /: ONNX Runtime can't be loaded: no such library; to install it again: npm install/,
  });
  broken.deregister();
});
