import assert from "node:assert/strict";
import { test } from "node:test";

import type { Comparison, InferOptions, ShadowOptions } from "millrace";
import { DataError, failed, from } from "millrace";
import { runPipeline } from "millrace/testing";

import type { SinkSpec } from "../../../src/contracts.ts";
import { createInstance } from "../../../src/pipeline/instance.ts";
import { memorySink } from "../../../src/sinks/memory.ts";
import { memorySource } from "../../../src/sources/memory.ts";
import { openContext } from "../../support/open-context.ts";
import { boxOf, sinkOf, sourceOf } from "../source-of.ts";
import type { RowFunction } from "./models.ts";
import { modelOf, modelsOf, numbers } from "./models.ts";

async function run(
  shadow: Omit<ShadowOptions<number, number, unknown>, "to">,
  options: InferOptions & { first?: RowFunction<number>; count?: number } = {},
) {
  const { first = (row) => row, count = 4, ...inferOptions } = options;
  const plan = from(sourceOf<number>())
    .infer(modelOf("first", first), { ...inferOptions, shadow: { ...shadow, to: sinkOf("differences") } })
    .deadLetter(boxOf())
    .to(sinkOf());
  const ended = await runPipeline<number>(plan, numbers(count));
  const sides = ended.sides["infer"] ?? [];
  return { ...ended, models: (ended.sinks[0] ?? []).map(modelsOf), sides, told: sides.map(({ value }) => value as Comparison) };
}

test("a second model sees the same inputs; what went on and what it says go to a sink", async () => {
  const { values, models, told, sides, counters } = await run({ model: modelOf("second", (row) => (row === 2 ? 20 : row)) });
  assert.deepEqual(
    [values, models],
    [
      [0, 1, 2, 3],
      ["first@1", "first@1", "first@1", "first@1"],
    ],
  );
  assert.deepEqual(told[2], {
    step: "infer",
    key: "key-2",
    input: 2,
    first: 2,
    firstModel: "first@1",
    second: 20,
    secondModel: "second@1",
    differs: true,
  });
  assert.deepEqual(
    told.map(({ input, differs }) => [input, differs]),
    [
      [0, false],
      [1, false],
      [2, true],
      [3, false],
    ],
  );
  assert.deepEqual(
    sides.map(({ key, offset, headers }) => [key, offset, headers]),
    numbers(4).map(({ key, value }) => [key, value, undefined]),
  );
  assert.deepEqual([counters.shadowed, counters.shadowDiffering, counters.shadowFailed, counters.shadowDropped], [4, 1, 0, 0]);
});

test("what differs is for a function to say, and differences alone can be written", async () => {
  const near = await run({
    model: modelOf("second", (row) => row + (row === 3 ? 1 : 0.1)),
    write: "differences",
    differs: (first, second) => Math.abs(first - (second as number)) > 0.5,
  });
  assert.deepEqual(
    near.told.map(({ first, second }) => [first, second]),
    [[3, 4]],
  );
  assert.deepEqual([near.counters.shadowed, near.counters.shadowDiffering], [4, 1]);
});

test("its errors, and those of the comparison, are told and never touch the first", async () => {
  const refused = await run({ model: modelOf("second", (row) => (row === 1 ? failed(new TypeError("one")) : row)) });
  assert.deepEqual(refused.values, [0, 1, 2, 3]);
  assert.deepEqual(refused.told[1], {
    step: "infer",
    key: "key-1",
    input: 1,
    first: 1,
    firstModel: "first@1",
    secondError: "one",
    differs: true,
  });
  assert.deepEqual([refused.counters.shadowed, refused.counters.shadowFailed], [3, 1]);
  const broken = await run({
    model: modelOf("second", () => {
      throw new TypeError("broken");
    }),
  });
  assert.deepEqual([broken.values.length, broken.counters.shadowFailed, broken.letters], [4, 4, []]);
  assert.match(String(broken.told[0]?.secondError), /second@1: broken/);
  const wrong = await run({ model: (rows) => rows.slice(1) });
  assert.match(String(wrong.told[0]?.secondError), /returned 3 results for 4 inputs/);
  const missing = await run({
    model: modelOf(
      "second",
      (row) => row,
      () => {
        throw new TypeError("no weights");
      },
    ),
  });
  assert.deepEqual([missing.values.length, missing.counters.shadowFailed], [4, 4]);
  const endless = await run({
    model: modelOf(
      "second",
      (row) => row,
      () => new Promise(() => undefined),
    ),
  });
  assert.deepEqual([endless.values.length, endless.counters.shadowFailed], [4, 4]);
  const unsure = await run({
    model: (rows) => rows,
    differs: () => {
      throw new RangeError("who knows");
    },
  });
  assert.deepEqual([unsure.told[0]?.secondError, unsure.counters.shadowFailed], ["who knows", 4]);
});

test("rows that the first can't do are shown to it as well", async () => {
  const { values, told, letters } = await run(
    { model: (rows) => rows },
    { first: (row) => (row === 1 ? failed(new DataError("", undefined, new Error("one"))) : row) },
  );
  assert.deepEqual([values, letters.map(({ offset }) => offset)], [[0, 2, 3], [1]]);
  assert.match(String(told[1]?.firstError), /one/);
  assert.deepEqual([told[1]?.second, told[1]?.differs], [1, true]);
});

test("it compares what the first said, whatever steps behind make of that", async () => {
  const plan = from(sourceOf<number>())
    .infer(
      modelOf("first", (row) => ({ row })),
      { shadow: { model: (rows) => rows.map((row) => ({ row })), to: sinkOf("differences") } },
    )
    .map((value) => Object.assign(value, { row: -1 }))
    .to(sinkOf());
  const { sides, counters } = await runPipeline(plan, numbers(3));
  assert.deepEqual(
    [sides["infer"]?.map(({ value }) => (value as Comparison).first), counters.shadowDiffering],
    [[{ row: 0 }, { row: 1 }, { row: 2 }], 0],
  );
});

test("one that hangs delays nothing: what it can't keep up with is left out, and the end does not wait for ever", async () => {
  const { values, told, counters } = await run(
    { model: modelOf("second", () => new Promise<number>(() => undefined)), maxQueued: 10 },
    { count: 50, batch: { maxSize: 5 } },
  );
  assert.deepEqual([values.length, told.length, counters.shadowDropped, counters.shadowed], [50, 0, 50, 0]);
});

test("one that takes longer than the step's timeout has failed", async () => {
  const { values, told } = await run(
    { model: modelOf("second", () => new Promise<number>(() => undefined)) },
    { timeout: "100ms", count: 2 },
  );
  assert.deepEqual(
    [values, told.map(({ secondError }) => secondError)],
    [
      [0, 1],
      ["no answer within 100 ms", "no answer within 100 ms"],
    ],
  );
});

test("a sink that refuses comparisons touches nothing else", async (t) => {
  const refusing: SinkSpec = {
    ...sinkOf(),
    open: async () => ({ write: () => Promise.reject(new Error("full")), [Symbol.asyncDispose]: () => Promise.resolve() }),
  };
  const context = openContext(t);
  const main = memorySink();
  const plan = from(memorySource(numbers(3)))
    .infer((rows) => rows, { shadow: { model: (rows) => rows, to: refusing } })
    .to(main);
  const instance = createInstance(plan, context);
  await instance.run(new AbortController().signal);
  assert.deepEqual([main.events.length, instance.counters.shadowed, instance.counters.shadowDropped], [3, 3, 3]);
  assert.match(context.lines.join("\n"), /^warn the comparisons of a shadow can't be written .*"full"/m);
});

test("a shadow is part of the plan, and one that makes no sense is none", () => {
  const infer = (shadow: object) =>
    from(sourceOf<number>()).infer(
      modelOf("first", (row) => row),
      { shadow: shadow as never },
    );
  const side = sinkOf("differences");
  const plan = infer({ model: modelOf("second", (row) => row), to: side }).to(sinkOf());
  const [step] = plan.steps;
  assert.equal(step?.side, side);
  assert.deepEqual(
    step?.models?.map(({ options, need }) => [options.step, need]),
    [
      ["infer", "needed"],
      ["infer.shadow", "dispensable"],
    ],
  );
  assert.equal(step?.description["shadow"], "test second");
  assert.throws(() => infer({ model: (rows: unknown) => rows, to: "file" }), /shadow\.to: give a sink/);
  assert.throws(() => infer({ model: (rows: unknown) => rows, write: "none" }), /shadow\.write/);
  assert.throws(() => infer({ model: (rows: unknown) => rows, maxQueued: 0 }), /shadow\.maxQueued/);
  assert.throws(() => infer({ model: (rows: unknown) => rows, differs: "much" }), /shadow\.differs/);
});
