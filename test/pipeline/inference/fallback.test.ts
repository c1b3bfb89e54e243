import assert from "node:assert/strict";
import { test } from "node:test";

import type { FallbackOptions, InferOptions } from "millrace";
import { DataError, failed, from, InfrastructureError } from "millrace";
import { runPipeline } from "millrace/testing";

import { PlanError } from "../../../src/errors.ts";
import type { ModelSpec } from "../../../src/model.ts";
import { placed } from "../../../src/models/place.ts";
import { boxOf, sinkOf, sourceOf } from "../source-of.ts";
import type { RowFunction } from "./models.ts";
import { modelOf, modelsOf, numbers, takes } from "./models.ts";

const away = () => {
  throw new InfrastructureError("the server is away");
};
const odd: RowFunction<number> = (row) => (row % 2 === 1 ? failed(new InfrastructureError("odd")) : row * 10);

async function run(first: RowFunction<number>, fallback: FallbackOptions<number, number>, options: InferOptions = {}, count = 4) {
  const plan = from(sourceOf<number>())
    .infer(modelOf("first", first), { ...options, fallback })
    .deadLetter(boxOf())
    .to(sinkOf());
  const ended = await runPipeline(plan, numbers(count));
  const { fellBack, retried } = ended.counters;
  return {
    values: ended.values,
    models: (ended.sinks[0] ?? []).map(modelsOf),
    letters: ended.letters.map(({ offset, message }) => `${offset}: ${message}`),
    fellBack,
    retried,
  };
}

test("another model answers the rows that the first could not do, after its retries, and the header names it", async () => {
  const { values, models, fellBack, retried } = await run(odd, { model: modelOf("second", (row) => -row) }, { retries: 1 });
  assert.deepEqual(values, [0, -1, 20, -3]);
  assert.deepEqual(models, ["first@1", "second@1", "first@1", "second@1"]);
  assert.deepEqual([fellBack, retried], [2, 1]);
});

test("a value answers, or what a function makes of input and error", async () => {
  assert.deepEqual(await run(away, { value: 7 }, {}, 2), {
    values: [7, 7],
    models: ["fallback@value", "fallback@value"],
    letters: [],
    fellBack: 2,
    retried: 0,
  });
  const made = await run(odd, { value: (input, error) => (error instanceof InfrastructureError ? -input : 0) });
  assert.deepEqual(made.values, [0, -1, 20, -3]);
});

test("each event has a value of its own", async () => {
  const plan = from(sourceOf<number>())
    .infer(modelOf<{ n: number }>("first", away), { fallback: { value: { n: 1 } } })
    .map((value) => ({ n: (value.n += 1) }))
    .to(sinkOf());
  assert.deepEqual((await runPipeline(plan, numbers(3))).values, [{ n: 2 }, { n: 2 }, { n: 2 }]);
});

test("it answers when the first is late: over all attempts, or by its timeout", async () => {
  const slow: RowFunction<number> = async (row, clock) => {
    await takes(row === 1 ? 250 : 50, clock);
    return row;
  };
  const late = { model: modelOf("second", (row) => -row) };
  const one = { batch: { maxSize: 1 } };
  assert.deepEqual((await run(slow, { ...late, after: "200ms" }, one)).values, [0, -1, 2, 3]);
  assert.deepEqual((await run(slow, late, { ...one, timeout: "200ms", retries: 1 })).values, [0, -1, 2, 3]);
});

test("what is the event's or the model's fault is not for a fallback, unless it is asked for", async () => {
  const faulty: RowFunction<number> = (row) => {
    if (row === 2) throw new TypeError("two");
    return row === 3 ? failed(new DataError("", undefined, new Error("three"))) : row;
  };
  const infrastructure = await run(faulty, { value: -1 });
  assert.deepEqual(infrastructure.values, [0, 1]);
  assert.deepEqual(infrastructure.letters, ["2: model first@1: two", "3: three"]);
  const all = await run(faulty, { value: -1, errors: "all" });
  assert.deepEqual([all.values, all.letters], [[0, 1, -1, -1], []]);
});

test("where the fallback fails too the event goes by what the model itself said", async () => {
  const { values, letters } = await run(
    (row) => (row === 1 ? failed(new TypeError("one")) : row),
    {
      errors: "all",
      value: () => {
        throw new RangeError("no value");
      },
    },
    {},
    3,
  );
  assert.deepEqual(values, [0, 2]);
  assert.match(letters.join(), /^1: .*one$/);
});

test("a model that stands in has the retries and the rows of its own place", async () => {
  const sizes: number[] = [];
  let failures = 2;
  const model: ModelSpec<number, number> = {
    ...modelOf("second", (row) => -row),
    defaults: { retries: 2, maxSize: 2 },
    open: (context, options) =>
      placed({
        kind: "small",
        description: {},
        key: "small",
        load: async () => ({
          identity: { name: "small", version: "1" },
          capacity: 8,
          run: async (rows) => {
            sizes.push(rows.length);
            if (failures-- > 0) throw new InfrastructureError("not yet");
            return rows;
          },
          [Symbol.asyncDispose]: () => Promise.resolve(),
        }),
      }).open(context, options),
  };
  const { values } = await run(away, { model }, {}, 5);
  assert.deepEqual(values, [0, 1, 2, 3, 4]);
  assert.ok(Math.max(...sizes) <= 2, sizes.join(" "));
});

test("a function can stand in, and be stood in for", async () => {
  const plan = from(sourceOf<number>())
    .infer(
      async (rows: readonly number[]) => {
        if (rows.length > 0) throw new InfrastructureError("away");
        return rows.map((row) => row + 1);
      },
      { fallback: { model: (rows) => rows.map((row) => row + 2) } },
    )
    .to(sinkOf());
  const { values, sinks } = await runPipeline(plan, numbers(2));
  assert.deepEqual(
    [values, sinks[0]?.map(modelsOf)],
    [
      [2, 3],
      ["fallback@function", "fallback@function"],
    ],
  );
});

test("a fallback that makes no sense is no plan", () => {
  const infer = (fallback: unknown, more: object = {}) =>
    from(sourceOf<number>()).infer(modelOf<number>("first", odd), { fallback: fallback as { value: number }, ...more });
  assert.throws(() => infer({}), new PlanError('step "infer": give fallback a model or a value, one of them'));
  assert.throws(() => infer({ value: 1, model: async () => [] }), /one of them/);
  assert.throws(() => infer({ value: 1, errors: "none" }), /fallback\.errors must be "infrastructure" or "all" \(got "none"\)/);
  assert.throws(() => infer({ value: 1, after: "0s" }), /fallback\.after/);
  assert.throws(() => infer({ value: { fn() {} } }), /plain data/);
  assert.throws(() => infer({ model: 1 }), /fallback\.model/);
  const whole = from(sourceOf<number>());
  assert.throws(() => whole.infer(async (events) => events, { fullEvent: true, fallback: { value: 1 as never } }), /fullEvent/);
});
