import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { planOf, runPipeline } from "millrace/testing";

import product from "./index.ts";
import type { Judgement } from "./model.ts";

const plan = planOf(product, { input: { file: { path: "unused.ndjson" } }, output: { memory: { name: "unused" } } });

const shipped = (file: string) =>
  readFileSync(new URL(`./data/${file}`, import.meta.url), "utf8")
    .trim()
    .split("\n");

test("judges each week of the shipped data, and finds the windstorm of August 2015 in Seattle", async () => {
  const run = await runPipeline<Judgement>(
    plan,
    shipped("seattle.ndjson").map((line) => ({ value: Buffer.from(line) })),
  );
  assert.equal(run.values.length, 210);
  assert.deepEqual(run.values.toSorted((a, b) => b.score - a.score)[0], {
    city: "Seattle",
    from: "2015-08-27",
    days: 7,
    score: 2.915,
    mostUnusual: "wind",
    verdict: "unusual",
  });
});

test("a week is unusual from the task's threshold on", async () => {
  const input = shipped("new-york.ndjson").map((value) => ({ value }));
  const unusual = async (threshold: number) => {
    const strict = planOf(product, { input: { file: { path: "unused.ndjson" } }, output: { memory: { name: "unused" } }, threshold });
    return (await runPipeline<Judgement>(strict, input)).values.filter((week) => week.verdict === "unusual").length;
  };
  assert.equal(await unusual(100), 0);
  assert.equal(await unusual(0.0001), 210);
});

test("a city without a climate is told so", async () => {
  const day = { city: "Atlantis", date: "2015-01-01", precipitation: 0, temp_max: 1, temp_min: 0, wind: 1 };
  const run = await runPipeline<Judgement>(plan, [{ value: JSON.stringify(day) }]);
  assert.deepEqual(run.values, [{ city: "Atlantis", from: "2015-01-01", days: 1, score: 0, mostUnusual: "", verdict: "unknown city" }]);
});

test("a record that is no day ends the task at that record", async () => {
  await assert.rejects(runPipeline(plan, [{ value: '{"city":"Seattle"}' }]), { name: "DataError", step: "map" });
  await assert.rejects(runPipeline(plan, [{ value: "rain" }]), /step "map" at memory test\/0@0: the value is no JSON/);
});
