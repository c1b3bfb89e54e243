import assert from "node:assert/strict";
import { test } from "node:test";

import { from } from "millrace";
import { runPipeline } from "millrace/testing";

import { sinkOf, sourceOf } from "./pipeline/source-of.ts";

const upTo = (n: number) => Array.from({ length: n }, (_, value) => ({ value }));

test("back-off costs no time, also while there is input that the pipeline has no room for", { timeout: 20_000 }, async () => {
  let failures = 3;
  const plan = from(sourceOf<number>())
    .mapAsync(
      async (n) => {
        if (n === 1 && failures-- > 0) throw new Error("busy");
        return n;
      },
      { retries: 3, backoffFactor: 60 },
    )
    .to(sinkOf());
  const run = await runPipeline<number>(plan, upTo(40), { batchSize: 1 });
  assert.deepEqual(
    run.values,
    upTo(40).map(({ value }) => value),
  );
});

test("a timeout does not end a call that is at real work", async () => {
  const plan = from(sourceOf<number>())
    .infer(
      async (inputs) => {
        await new Promise((resolve) => {
          setTimeout(resolve, 300);
        });
        return inputs;
      },
      { timeout: "2s" },
    )
    .to(sinkOf());
  assert.deepEqual((await runPipeline<number>(plan, upTo(3))).values, [0, 1, 2]);
});

test("takes as many events in a batch as a test gives", async () => {
  const plan = from(sourceOf<number>()).to(sinkOf());
  const run = await runPipeline<number>(plan, upTo(300_000));
  assert.equal(run.values.length, 300_000);
});
