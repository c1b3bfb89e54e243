import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";

import type { OnnxOptions } from "millrace";
import { onnx } from "millrace";
import { runPipeline } from "millrace/testing";

import { openContext } from "../../support/open-context.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";
import { call } from "../versions/versioned-place.ts";
import { modelFile, onnxPlan, planOfModel } from "./onnx-plan.ts";

suite("in a process an ONNX model answers as in the worker", () => {
  const cases: Readonly<Record<string, readonly unknown[]>> = {
    double: [[0.1, 0.2, 0.3], Float32Array.of(1 / 3, 2 / 3, 1), "none", { x: [7, 8, 9] }, [1, 2, Number.NaN]],
    shift: [{ point: [0.1, 0.2], by: 2n ** 53n + 1n }, { point: [1, 2] }],
    sum: [[1, 2], [0.1], Float32Array.of(0.1, 0.2, 0.3)],
    lookup: [0, 7, 2],
    echo: ["wörd", Buffer.from("bytes")],
    "one-row": [
      [1, 2, 3],
      [4, 5, 6],
    ],
  };
  for (const [name, rows] of Object.entries(cases)) {
    test(name, async () => {
      const answered = async (options: OnnxOptions) => {
        const run = await runPipeline(
          onnxPlan(name, options),
          rows.map((value) => ({ value })),
        );
        const [events = []] = run.sinks;
        return {
          results: events.map(({ value, headers, offset }) => ({ value, headers, offset })),
          retried: run.counters.retried,
          letters: run.letters.map(({ offset, error, message }) => ({ offset, error, message })),
        };
      };
      const [worker, inProcess] = [await answered({}), await answered({ place: "process" })];
      assert.ok(worker.results.length > 0);
      assert.deepEqual(inProcess, worker);
    });
  }
});

test("a file that is no model is refused there as well", async (t) => {
  const path = join(tempFolder(t), "model.onnx");
  writeFileSync(path, "no model");
  await assert.rejects(runPipeline(planOfModel(onnx(path, { place: "process" })), [{ value: 1 }]), {
    name: "ConfigError",
    message: /^\S+model\.onnx: ONNX Runtime can't load the model: /,
  });
});

test("a process that is killed is replaced, and what it had is answered by the next", async (t) => {
  const context = openContext(t);
  const batching = { maxSize: 8, maxDelay: 0, maxQueuedRows: 100, maxQueuedBytes: 1000 };
  const spec = onnx<readonly number[], Float32Array>(modelFile("double"), { place: "process", processes: 1, redeliver: 5 });
  const model = await spec.open(context, { step: "infer", batching });
  t.after(() => model[Symbol.asyncDispose]());
  using caller = model.caller({ name: "test", maxInFlight: 4, priority: 0 });
  for (let round = 0; round < 3; round++) {
    const [child = 0] = await until("there is a process", () => modelProcesses());
    const answers = Promise.all([1, 2, 3].map(async (n) => Array.from((await caller.predict([[n, n, n]], call())).outputs)));
    process.kill(child, "SIGKILL");
    assert.deepEqual(await answers, [[Float32Array.of(2, 2, 2)], [Float32Array.of(4, 4, 4)], [Float32Array.of(6, 6, 6)]]);
  }
});

/** Children of this process that host models. */
function modelProcesses(): number[] | undefined {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  return children.length === 0 ? undefined : children;
}

test("a place that there is not is a fault of the plan", () => {
  // @ts-expect-error A thread that is ended while ONNX Runtime computes takes its process with it.
  assert.throws(() => onnx("model.onnx", { place: "thread" }), { name: "PlanError", message: /place must be "worker" or "process"/ });
  assert.throws(() => onnx("model.onnx", { processes: 1.5 }), { name: "PlanError", message: /onnx: processes must be a whole number/ });
});
