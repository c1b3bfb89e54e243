import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { relative } from "node:path";
import { suite, test } from "node:test";
import { pathToFileURL } from "node:url";

import type { OnnxOptions } from "millrace";
import { from, memorySink, memorySource, onnx } from "millrace";
import { runPipeline } from "millrace/testing";

import { MODEL_HEADER } from "../../../src/model.ts";
import { modelFile, onnxPlan, planOfModel } from "./onnx-plan.ts";

/** What a model answers, row by row, with typed arrays as arrays. */
async function answers(name: string, rows: readonly unknown[], options: OnnxOptions = {}): Promise<readonly unknown[]> {
  const { values } = await runPipeline(
    onnxPlan(name, options),
    rows.map((value) => ({ value })),
  );
  return values.map(plain);
}

function plain(output: unknown): unknown {
  if (ArrayBuffer.isView(output)) return Array.from(output as Float32Array);
  if (typeof output !== "object" || output === null) return output;
  return Object.fromEntries(Object.entries(output).map(([name, value]) => [name, plain(value)]));
}

suite("rows of an ONNX model", () => {
  test("arrays, nested or flat, typed arrays, and objects by the input's name", async () => {
    const rows = [[1, 2, 3], Float32Array.of(4, 5, 6), Float64Array.of(7, 8, 9), { x: [10, 11, 12] }];
    assert.deepEqual(await answers("double", rows), [
      [2, 4, 6],
      [8, 10, 12],
      [14, 16, 18],
      [20, 22, 24],
    ]);
  });

  test("views of one buffer", async () => {
    const buffer = Float32Array.of(1, 2, 3, 4, 5, 6);
    assert.deepEqual(await answers("double", [buffer.subarray(0, 3), buffer.subarray(3)]), [
      [2, 4, 6],
      [8, 10, 12],
    ]);
    assert.deepEqual([...buffer], [1, 2, 3, 4, 5, 6]);
  });

  test("several inputs and outputs, by name", async () => {
    assert.deepEqual(
      await answers("shift", [
        { point: [1, 2], by: 10 },
        { point: [3, 4], by: 20n },
      ]),
      [
        { moved: [11, 12], back: -10n },
        { moved: [23, 24], back: -20n },
      ],
    );
    assert.deepEqual(await answers("shift", [{ point: [1, 2], by: 10 }], { outputs: ["back"] }), [-10n]);
  });

  test("numbers, and text", async () => {
    assert.deepEqual(await answers("lookup", [2, 0, 1]), [30, 10, 20]);
    assert.deepEqual(await answers("echo", ["wörd", Buffer.from("bytes")]), ["wörd", "bytes"]);
  });

  test("of any length, each for itself", async () => {
    assert.deepEqual(await answers("sum", [[1, 2], [3], [4, 5, 6], [7, 8]]), [3, 3, 15, 15]);
  });

  test("one at a time, where the model takes one", async () => {
    assert.deepEqual(
      await answers("one-row", [
        [1, 2, 3],
        [4, 5, 6],
      ]),
      [
        [2, 4, 6],
        [8, 10, 12],
      ],
    );
  });

  test("that are not finite, where the model takes them", async () => {
    assert.deepEqual(await answers("double", [[Number.NaN, 1, Number.POSITIVE_INFINITY]], { values: "any" }), [
      [Number.NaN, 2, Number.POSITIVE_INFINITY],
    ]);
  });
});

suite("an ONNX model", () => {
  const identityOf = async (path: string, options: OnnxOptions = {}) => {
    const run = await runPipeline(planOfModel(onnx(path, options)), [{ value: [1, 2, 3] }]);
    return run.sinks[0]?.[0]?.headers?.find(([name]) => name === MODEL_HEADER)?.[1];
  };

  test("is named by its file, and has the version that it gives itself, else its file's hash", async () => {
    assert.equal(await identityOf(modelFile("double")), "double@7");
    assert.match(String(await identityOf(modelFile("one-row"))), /^one-row@[0-9a-f]{8}$/);
    assert.equal(await identityOf(modelFile("double"), { name: "twice", version: "b" }), "twice@b");
  });

  test("is found by its path, absolute or relative, or its URL", async () => {
    const file = modelFile("double");
    assert.equal(await identityOf(pathToFileURL(file).href), "double@7");
    assert.equal(await identityOf(relative(process.cwd(), file)), "double@7");
  });

  test("computes on the thread that asks, unless it is told to start others", async () => {
    const threadsWith = async (options: OnnxOptions) => {
      const plan = from(memorySource<unknown>([]))
        .infer(onnx(modelFile("double"), options))
        .map(() => readdirSync("/proc/self/task").length)
        .to(memorySink());
      const { values } = await runPipeline<number>(plan, [{ value: [1, 2, 3] }]);
      return values[0] ?? 0;
    };
    const alone = await threadsWith({});
    assert.equal(await threadsWith({}), alone);
    assert.equal(await threadsWith({ settings: { intraOpNumThreads: 3 } }), alone + 2);
  });
});
