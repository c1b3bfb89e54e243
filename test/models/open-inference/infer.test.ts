import assert from "node:assert/strict";
import { test } from "node:test";

import { from, memorySink, memorySource, openInference } from "millrace";
import { runPipeline } from "millrace/testing";

import type { OpenInferenceServer } from "../../support/open-inference/server.ts";
import { openInferenceServer } from "../../support/open-inference/server.ts";
import { echo, scale } from "./hosted.ts";

/** How a model can be asked: by which protocol, and how tensors are carried. */
const WAYS = [
  { way: "HTTP with binary tensors", protocol: "http", binary: undefined, encoding: "binary" },
  { way: "HTTP with JSON", protocol: "http", binary: false, encoding: "json" },
  { way: "gRPC with raw contents", protocol: "grpc", binary: undefined, encoding: "raw" },
  { way: "gRPC with typed contents", protocol: "grpc", binary: false, encoding: "typed" },
] as const;

function urlOf(server: OpenInferenceServer, protocol: "http" | "grpc"): string {
  return protocol === "http" ? server.http : server.grpc;
}

for (const { way, protocol, binary, encoding } of WAYS) {
  test(`rows are answered by ${way}, and results name model and version`, async (t) => {
    const server = await openInferenceServer(t, scale);
    const plan = from(memorySource<number[]>([]))
      .infer(openInference<number[], Float32Array>({ url: urlOf(server, protocol), model: "scale", binary }))
      .map((row, event) => `${row.join(" ")} by ${String(event.headers?.[0])}`)
      .to(memorySink());
    const { values } = await runPipeline(plan, [{ value: [1, 2, 0.5] }, { value: [-1, 0, 1e6] }]);
    assert.deepEqual(values, ["2 4 1 by millrace-model,scale@3", "-2 0 2000000 by millrace-model,scale@3"]);
    assert.deepEqual(
      server.asked.map((asked) => asked.encoding),
      [encoding],
    );
  });

  test(`all datatypes come back as they went, by ${way}`, async (t) => {
    const server = await openInferenceServer(t, echo);
    const row = {
      bool: [true, false],
      int8: [-128, 127],
      int16: [-32768, 32767],
      int32: [-(2 ** 31), 2 ** 31 - 1],
      int64: [-(2n ** 63n), 2n ** 53n + 1n],
      uint8: [0, 255],
      uint16: [0, 65535],
      uint32: [0, 2 ** 32 - 1],
      uint64: [1n, 2n ** 64n - 1n],
      fp32: [0.5, -1.5e-10],
      fp64: [0.1, -1.7e308],
      bytes: ["", "grün\n"],
    };
    const plan = from(memorySource<typeof row>([]))
      .infer(openInference<typeof row, Record<string, ArrayLike<unknown>>>({ url: urlOf(server, protocol), model: "echo", binary }))
      .map((outputs) => Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, Array.from(output)])))
      .to(memorySink());
    const { values } = await runPipeline(plan, [{ value: row }, { value: row }]);
    const expected = { ...row, fp32: [0.5, Math.fround(-1.5e-10)] };
    assert.deepEqual(values, [expected, expected]);
  });
}

test("a server that does not announce binary tensors is asked in JSON", async (t) => {
  const server = await openInferenceServer(t, scale, { extensions: [] });
  const plan = from(memorySource<number[]>([]))
    .infer(openInference<number[], Float32Array>({ url: server.http, model: "scale" }))
    .map((row) => Array.from(row))
    .to(memorySink());
  const { values } = await runPipeline(plan, [{ value: [1, 2, 3] }]);
  assert.deepEqual(values, [[2, 4, 6]]);
  assert.deepEqual(
    server.asked.map((asked) => asked.encoding),
    ["json"],
  );
});
