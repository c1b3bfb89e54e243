import assert from "node:assert/strict";
import { test } from "node:test";

import type { CanaryOptions, InferOptions } from "millrace";
import { failed, from, InfrastructureError } from "millrace";
import type { Advance } from "millrace/testing";
import { advance, runPipeline } from "millrace/testing";

import type { TestEvent } from "../../../src/testing.ts";
import { boxOf, sinkOf, sourceOf } from "../source-of.ts";
import type { RowFunction } from "./models.ts";
import { doubleModel, modelOf, modelsOf, numbers, takes } from "./models.ts";

async function run(
  canary: CanaryOptions<number, number>,
  input: readonly (TestEvent | Advance)[],
  options: InferOptions & { first?: RowFunction<number> } = {},
) {
  const { first = (row) => row, ...inferOptions } = options;
  const plan = from(sourceOf<number>())
    .infer(modelOf("first", first), { ...inferOptions, canary })
    .deadLetter(boxOf())
    .to(sinkOf());
  const { values, sinks, counters, letters } = await runPipeline<number>(plan, input, { batchSize: 50 });
  return { values, models: (sinks[0] ?? []).map(modelsOf), counters, letters: letters.map(({ offset }) => offset) };
}

const second = (fn: RowFunction<number> = (row) => row) => modelOf("second", fn);
const count = (models: readonly string[], name: string) => models.filter((model) => model === name).length;

test("a share of the keys is answered by it, always the same ones, in order, and the header tells", async () => {
  const input = numbers(2000);
  const { values, models, counters } = await run({ model: second(), share: 0.1 }, [...input, ...input]);
  assert.deepEqual(
    values,
    [...input, ...input].map(({ value }) => value),
  );
  assert.deepEqual(models.slice(0, 2000), models.slice(2000));
  const chosen = count(models, "second@1");
  assert.ok(chosen > 300 && chosen < 500, `${chosen} of 4,000`);
  assert.deepEqual([counters.canaried, counters.canaryFailed, count(models, "first@1")], [chosen, 0, 4000 - chosen]);
  const more = await run({ model: second(), share: 0.3 }, input);
  assert.ok(
    models.slice(0, 2000).every((model, index) => model === "first@1" || more.models[index] === "second@1"),
    "a larger share has the keys of a smaller one",
  );
});

test("events without a key are chosen by their place; none and all are shares as well", async () => {
  const input = numbers(1000).map(({ value }) => ({ value }));
  const half = count((await run({ model: second(), share: 0.5 }, input)).models, "second@1");
  assert.ok(half > 400 && half < 600, `${half} of 1,000`);
  assert.equal(count((await run({ model: second(), share: 0 }, input)).models, "second@1"), 0);
  assert.equal(count((await run({ model: second(), share: 1 }, input)).models, "second@1"), 1000);
});

test("what it fails the first does, and when that is too much it gets nothing more", async () => {
  const canary = second((row) => {
    if (row >= 200) throw new TypeError("not made for that");
    return row;
  });
  const { values, models, counters } = await run({ model: canary, share: 0.5 }, numbers(1000));
  assert.deepEqual(
    values,
    numbers(1000).map(({ value }) => value),
  );
  assert.ok(count(models.slice(0, 200), "second@1") > 70);
  assert.equal(count(models.slice(200), "second@1"), 0);
  assert.ok(counters.canaryFailed > 0 && counters.canaryFailed < 250, `${counters.canaryFailed} rows failed until it was given up`);
});

test("some failures are no reason to give it up, nor are rows that the first can't do either", async () => {
  const some = second((row) => (row % 50 === 7 ? failed(new InfrastructureError("seven")) : row));
  const tolerated = await run({ model: some, share: 1, maxErrorRate: 0.1 }, numbers(500));
  assert.deepEqual(
    tolerated.values,
    numbers(500).map(({ value }) => value),
  );
  assert.deepEqual([count(tolerated.models, "first@1"), count(tolerated.models, "second@1")], [10, 490]);
  const bad: RowFunction<number> = (row) => {
    if (row % 10 === 3) throw new TypeError("three");
    return row;
  };
  const both = await run({ model: second(bad), share: 1 }, numbers(100), { first: bad, batch: { maxSize: 10 } });
  assert.equal(both.values.length, 90);
  assert.deepEqual(
    both.letters,
    numbers(10).map(({ value }) => value * 10 + 3),
  );
  assert.equal(both.counters.canaryFailed, 100);
  const fine = await run({ model: second((row) => (row % 10 === 3 ? failed(new TypeError("three")) : row)), share: 1 }, numbers(100), {
    first: bad,
  });
  assert.equal(count(fine.models, "second@1"), 90);
});

test("one that is late has failed", async () => {
  const slow = second(async (row, clock) => {
    await takes(1000, clock);
    return row;
  });
  const options = { batch: { maxSize: 10 }, maxInFlight: 1 };
  const { values, models, counters } = await run({ model: slow, share: 1, maxLatency: "100ms" }, numbers(100), options);
  assert.deepEqual(
    values,
    numbers(100).map(({ value }) => value),
  );
  assert.deepEqual([count(models, "first@1"), counters.canaryFailed], [100, 20]);
  const half = await run({ model: slow, share: 1 }, numbers(40), { ...options, timeout: "200ms" });
  assert.deepEqual([half.values.length, half.counters.canaryFailed], [40, 20]);
});

test("one that was given up gets its share again when the time for that has come", async () => {
  let fails = true;
  const flaky = second((row) => {
    if (fails) throw new InfrastructureError("not yet");
    return row;
  });
  const input = [...numbers(50), advance("5m"), ...numbers(50), advance("5m"), ...numbers(50)];
  const seen = (row: number) => {
    if (row === 49) fails = false;
    return row;
  };
  const { models } = await run({ model: flaky, share: 1, retryAfter: "10m" }, input, { first: seen });
  assert.deepEqual([models.slice(0, 100).includes("second@1"), count(models.slice(100), "second@1")], [false, 50]);
});

test("one that can't be loaded costs its share nothing", async () => {
  const broken = modelOf(
    "second",
    (row) => row,
    () => {
      throw new TypeError("no weights");
    },
  );
  const { values, models } = await run({ model: broken, share: 0.5 }, numbers(300));
  assert.deepEqual([values.length, count(models, "first@1")], [300, 300]);
});

test("retries, failed rows and order are as without it", async () => {
  let attempts = 0;
  const first: RowFunction<number> = (row) => {
    if (row === 5 && ++attempts < 3) throw new InfrastructureError("again");
    return row === 8 ? failed(new TypeError("eight")) : row * 2;
  };
  const { values, letters } = await run({ model: doubleModel(), share: 0.3 }, numbers(20), { first, retries: 2, batch: { maxSize: 3 } });
  const chosen = values.includes(16);
  assert.deepEqual(
    values,
    numbers(20).flatMap(({ value }) => (value === 8 && !chosen ? [] : [value * 2])),
  );
  assert.deepEqual(letters, chosen ? [] : [8]);
});

test("a canary that makes no sense is no plan", () => {
  const infer = (canary: object) =>
    from(sourceOf<number>()).infer(
      modelOf<number>("first", (row) => row),
      { canary: canary as never },
    );
  for (const share of [-0.1, 1.1, Number.NaN, "half", undefined])
    assert.throws(() => infer({ model: second(), share }), /step "infer": canary\.share must be from 0 to 1/);
  assert.throws(() => infer({ model: second(), share: 1, maxErrorRate: 5 }), /canary\.maxErrorRate must be from 0 to 1 \(got 5\)/);
  assert.throws(() => infer({ model: second(), share: 1, minRows: 0 }), /canary\.minRows/);
  assert.throws(() => infer({ model: second(), share: 1, maxLatency: "soon" }), /canary\.maxLatency/);
  assert.throws(() => infer({ share: 1 }), /canary\.model/);
});
