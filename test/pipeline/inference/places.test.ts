import assert from "node:assert/strict";
import { test } from "node:test";

import { from, processes, threads, worker } from "millrace";
import { runPipeline } from "millrace/testing";

import type double from "../../models/products/double.ts";
import { sinkOf, sourceOf } from "../source-of.ts";
import { modelsOf, numbers } from "./models.ts";

const url = import.meta.resolve("../../models/products/double.ts");

test("models beside the first may run anywhere: its results are as without them", async () => {
  const plan = from(sourceOf<number>())
    .infer(worker<typeof double>(url), {
      batch: { maxSize: 64 },
      shadow: { model: processes<typeof double>(url, { processes: 1 }), to: sinkOf("differences"), write: "differences" },
      canary: { model: threads<typeof double>(url, { threads: 1 }), share: 0.5 },
      fallback: { model: threads<typeof double>(url, { threads: 1 }), after: "30s" },
    })
    .to(sinkOf());
  const { values, sinks, sides, counters } = await runPipeline(plan, numbers(1000), { batchSize: 100 });
  assert.deepEqual(
    values,
    numbers(1000).map(({ value }) => value * 2),
  );
  assert.ok(sinks[0]?.every((event) => modelsOf(event) === "double@1"));
  assert.deepEqual(sides["infer"], []);
  const { canaried, canaryFailed, shadowed, shadowDiffering, shadowFailed, shadowDropped, fellBack } = counters;
  assert.deepEqual([canaryFailed, shadowDiffering, shadowFailed, fellBack], [0, 0, 0, 0]);
  assert.ok(canaried > 400 && canaried < 600, `${canaried} of 1,000`);
  assert.equal(shadowed + shadowDropped, 1000);
});
