import assert from "node:assert/strict";
import { test } from "node:test";

import { defineProduct, from, memorySource, model, modelConfig, sink, z } from "millrace";
import { runPipeline } from "millrace/testing";

import { describeIssues } from "../../src/tasks/schema-issues.ts";
import type double from "./products/double.ts";

const URL_OF_DOUBLE = import.meta.resolve("./products/double.ts");
const URL_OF_ONNX = import.meta.resolve("./onnx/double.onnx");

const product = defineProduct({
  name: "doubled",
  config: z.strictObject({ model: modelConfig.default("worker") }),
  pipeline: ({ config }) =>
    from(memorySource<number>([]))
      .infer(model<typeof double>(config.model, URL_OF_DOUBLE))
      .map((value) => value.toFixed(1))
      .to(sink({ memory: { name: "doubled" } })),
});

/** What is told of a config that is wrong. */
function faults(config: unknown): readonly string[] {
  const { error } = product.config.safeParse({ model: config });
  return describeIssues(error?.issues ?? [], "config", z.toJSONSchema(product.config, { io: "input", unrepresentable: "any" }));
}

/** The spec of a config that is right. */
const specOf = (config: unknown, url = URL_OF_DOUBLE) => model(modelConfig.parse(config), url);

test("a word in the config says where a model runs", () => {
  for (const place of ["worker", "threads", "processes"]) {
    const { kind, description } = specOf(place);
    assert.deepEqual([kind, description["model"]], [place, URL_OF_DOUBLE]);
    assert.equal(specOf({ [place]: {} }).kind, place);
  }
});

test("places take their options", () => {
  assert.equal(specOf({ worker: { settings: { size: 1 } } }).kind, "worker");
  assert.equal(specOf({ threads: { threads: 2, maxInFlight: 1, hangAfter: "10s" } }).description["threads"], 2);
  assert.equal(specOf({ processes: { processes: 3, pool: "a", memoryLimitMb: 256 } }).description["processes"], 3);
  const remote = specOf({
    openInference: { url: "grpc://models:8001", model: "digits", inputs: [{ name: "x", datatype: "FP32", shape: [64] }] },
  });
  assert.deepEqual([remote.kind, remote.description["protocol"]], ["openInference", "grpc"]);
  assert.equal(specOf({ http: { url: "http://scores/v1" } }).description["rows"], "one");
  assert.equal(specOf({ http: { url: "http://scores/v1", rows: "batch", breaker: "off" } }).description["rows"], "batch");
  assert.equal(specOf({ onnx: { path: "models/a.onnx", place: "process" } }).description["in"], "process");
});

test("a model that is an ONNX file runs in the worker or in processes, by the same words", () => {
  assert.deepEqual(specOf("worker", URL_OF_ONNX).description, { model: URL_OF_ONNX, in: "worker", processes: undefined });
  assert.deepEqual(specOf({ processes: { processes: 2 } }, URL_OF_ONNX).description, { model: URL_OF_ONNX, in: "process", processes: 2 });
  assert.equal(specOf({ onnx: { place: "process" } }, URL_OF_ONNX).description["model"], URL_OF_ONNX);
  assert.throws(() => specOf("threads", URL_OF_ONNX), { name: "PlanError", message: /can't run on threads.*give worker or processes/ });
  assert.throws(() => specOf({ onnx: {} }), {
    name: "PlanError",
    message: "onnx: path is missing: the product has no .onnx file of its own",
  });
});

test("what is wrong is told at its place, and what would be right", () => {
  const places =
    "config.model: give one place: worker, threads, processes, or one with its options as { threads: { … } }, " +
    "of worker, threads, processes, openInference, http, onnx";
  assert.deepEqual(faults("thread"), [places]);
  assert.deepEqual(faults({}), [places]);
  assert.deepEqual(faults({ thread: {} }), ['config.model.thread: unknown key. Did you mean "threads"?', places]);
  assert.deepEqual(faults({ worker: {}, threads: {} }), [places]);
  assert.deepEqual(faults({ threads: { thread: 2 } }), ['config.model.threads.thread: unknown key. Did you mean "threads"?']);
  assert.deepEqual(faults({ threads: { hangAfter: "soon" } }), [
    'config.model.threads.hangAfter: must be milliseconds, or a number with a unit: "500ms", "10s", "5m", "1h", "7d"',
  ]);
  assert.deepEqual(faults({ openInference: { url: "http://a" } }), ["config.model.openInference.model: is missing (string)"]);
  assert.deepEqual(faults({ processes: { processes: -1 } }), ["config.model.processes.processes: Too small: expected number to be >=0"]);
  assert.throws(() => specOf({ openInference: { url: "ftp://a", model: "m" } }), {
    name: "PlanError",
    message: /openInference: url must be http:/,
  });
});

test("the place is one word of a task, and changes nothing else", async () => {
  for (const place of ["worker", "threads", "processes"] as const) {
    const plan = product.pipeline({
      config: product.config.parse({ model: place }),
      task: { id: "t", product: "doubled", instance: 0, instances: 1 },
      logger: console as never,
      signal: new AbortController().signal,
    });
    const { values } = await runPipeline(plan as never, [{ value: 1 }, { value: 2 }]);
    assert.deepEqual(values, ["2.0", "4.0"], place);
  }
});
