import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { from, memorySink, memorySource, openInference } from "millrace";
import { planOf, runPipeline } from "millrace/testing";

import product from "../../../products/mlserver/index.ts";
import type { MLServer } from "../../support/services/mlserver/mlserver.ts";
import { startMLServer } from "../../support/services/mlserver/mlserver.ts";

const FOLDER = fileURLToPath(new URL("../../../products/mlserver/server/", import.meta.url));

let mlserver: MLServer;
before(async () => {
  mlserver = await startMLServer(FOLDER);
});
after(async () => {
  await mlserver[Symbol.asyncDispose]();
});

/** A flower of each species, of those that Fisher measured. */
const FLOWERS = [
  { sepal: [5.1, 3.5], petal: [1.4, 0.2], species: "setosa" },
  { sepal: [6.4, 3.2], petal: [4.5, 1.5], species: "versicolor" },
  { sepal: [6.3, 3.3], petal: [6.0, 2.5], species: "virginica" },
];

for (const protocol of ["http", "grpc"] as const) {
  const server = () => (protocol === "http" ? mlserver.address : mlserver.grpc);

  test(`the example names species by a model in MLServer, over ${protocol}`, async () => {
    const plan = planOf(product, { input: { generator: {} }, output: { memory: { name: "unused" } }, server: server() });
    const input = Array.from({ length: 300 }, (_, index) => FLOWERS[index % 3]);
    const { values, sinks } = await runPipeline<{ readonly species: string; readonly distance: number }>(
      plan,
      input.map((flower) => ({ value: JSON.stringify(flower) })),
    );
    assert.deepEqual(
      values.map(({ species }) => species),
      input.map((flower) => flower?.species),
    );
    assert.ok(Math.abs((values[0]?.distance ?? 0) - Math.hypot(5.1 - 5.006, 3.5 - 3.428, 1.4 - 1.462, 0.2 - 0.246)) < 1e-12);
    assert.deepEqual(sinks[0]?.[0]?.headers, [["millrace-model", "iris@1936"]]);
  });

  test(`a flower that MLServer refuses is told with what it says, and the others are named, over ${protocol}`, async () => {
    const plan = from(memorySource<number[]>([]))
      .infer(openInference<number[], { readonly species: readonly string[] }>({ url: server(), model: "iris" }), { onError: "skip" })
      .map(({ species }) => species[0])
      .to(memorySink());
    const input = [
      [5.1, 3.5, 1.4, 0.2],
      [1, 2, 3, -4],
      [6.3, 3.3, 6, 2.5],
    ].map((value) => ({ value }));
    assert.deepEqual((await runPipeline(plan, input)).values, ["setosa", "virginica"]);
    const failing = from(memorySource<number[]>([]))
      .infer(openInference({ url: server(), model: "iris" }))
      .to(memorySink());
    await assert.rejects(
      runPipeline(failing, input),
      /at memory test\/0@1: model iris@1936: the server answered .*: a flower has no negative measures/,
    );
  });

  test(`MLServer knows no other model, over ${protocol}`, async () => {
    const plan = from(memorySource<number[]>([]))
      .infer(openInference({ url: server(), model: "tulip" }))
      .to(memorySink());
    await assert.rejects(runPipeline(plan, []), /model tulip at .*: the server answered .*tulip/);
  });
}

test("what MLServer is told of the model is what is asked of it", async () => {
  const settings = JSON.parse(await readFile(join(FOLDER, "model-settings.json"), "utf8")) as { readonly inputs: unknown };
  const reply = await fetch(`${mlserver.address}/v2/models/iris`);
  const { inputs } = (await reply.json()) as { readonly inputs: unknown };
  assert.deepEqual(inputs, settings.inputs);
});
