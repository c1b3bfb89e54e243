import assert from "node:assert/strict";
import { test } from "node:test";

import { failed, from } from "millrace";
import { runPipeline } from "millrace/testing";

import { plannedModels, plannedSinks } from "../../src/pipeline/plan-parts.ts";
import { doubleModel, modelOf, numbers } from "./inference/models.ts";
import { sinkOf, sourceOf } from "./source-of.ts";

test("models and sinks of error handlers are part of a plan: they are opened, and asked", async () => {
  const differences = sinkOf("differences");
  const plan = from(sourceOf<number>())
    .infer(
      modelOf<number>("odd", (row) => (row % 2 === 1 ? failed(new TypeError("odd")) : row)),
      {
        onError: {
          steps: (failures) =>
            failures
              .map(({ event }) => event.value as number)
              .infer(doubleModel(), { shadow: { model: (rows) => rows.map((row) => row * 2), to: differences } }),
        },
      },
    )
    .to(sinkOf());
  assert.deepEqual(
    plannedModels(plan).map(({ spec }) => spec.kind),
    ["test", "worker"],
  );
  assert.deepEqual([...plannedSinks(plan)], [...plan.sinks, differences]);
  const { values, counters } = await runPipeline<number>(plan, numbers(4));
  assert.deepEqual(
    values.toSorted((a, b) => a - b),
    [0, 2, 2, 6],
  );
  assert.equal(counters.shadowed, 2);
});
