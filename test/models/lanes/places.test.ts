import assert from "node:assert/strict";
import { test } from "node:test";

import type { ModelSpec } from "millrace";
import { from, memorySink, memorySource, PlanError, processes, sink, threads } from "millrace";
import { runPipeline } from "millrace/testing";

import { DEFAULT_MODEL_SETTINGS } from "../../../src/model-stats.ts";
import type { ModelOptions, OpenModel } from "../../../src/model.ts";
import { batchingOf } from "../../../src/pipeline/infer.ts";
import { openContext } from "../../support/open-context.ts";
import { descendants } from "../../support/processes.ts";
import type double from "../products/double.ts";
import type behave from "./modules/behave.ts";
import type { Told } from "./modules/behave.ts";

const DOUBLE = import.meta.resolve("../products/double.ts");
const BEHAVE = import.meta.resolve("./modules/behave.ts");
const OPTIONS: ModelOptions = { step: "infer", batching: batchingOf("infer", {}) };

for (const [place, spec] of [
  ["on threads", threads<typeof double>(DOUBLE)],
  ["in processes", processes<typeof double>(DOUBLE)],
  ["in a pool of processes", processes<typeof double>(DOUBLE, { pool: "shared", processes: 2 })],
] as const) {
  test(`a model ${place} answers, and its results name it`, async () => {
    const plan = from(memorySource<number>([]))
      .infer(spec)
      .map((value, event) => `${value.toFixed(1)} by ${String(event.headers?.[0])}`)
      .to(memorySink());
    const { values } = await runPipeline(plan, [{ value: 1 }, { value: 2 }]);
    assert.deepEqual(values, ["2.0 by millrace-model,double@1", "4.0 by millrace-model,double@1"]);
  });
}

for (const [place, spec] of [
  ["thread", threads<typeof behave>(BEHAVE, { threads: 2 })],
  ["process", processes<typeof behave>(BEHAVE, { processes: 2 })],
] as const) {
  test(`of many rows for a ${place}, the one that ends it fails alone`, async () => {
    const plan = from(memorySource<Told>([]))
      .onError({ default: "deadLetter" })
      .infer(spec)
      .deadLetter(sink({ file: { path: "letters.ndjson" } }))
      .to(memorySink());
    const input = Array.from({ length: 4 }, (_, value): Told => (value === 2 ? { do: "exit", code: 9 } : { do: "echo", value }));
    const { values, letters } = await runPipeline(
      plan,
      input.map((value) => ({ value })),
    );
    assert.deepEqual(values, [0, 1, 3]);
    assert.deepEqual(
      letters.map(({ step, error, message }) => [step, error, message]),
      [
        [
          "infer",
          "LaneKilledError",
          `model behave@1: the ${place} that worked on this input ended, 2 times; the last one called process.exit(9)`,
        ],
      ],
    );
  });
}

/** Asks an opened model for the place where it runs. */
async function where(model: OpenModel): Promise<string> {
  using caller = model.caller({ name: "test", maxInFlight: 1, priority: 0 });
  const call = { events: [], signal: new AbortController().signal, until: Number.POSITIVE_INFINITY };
  const { outputs } = await caller.predict([{ do: "where" } satisfies Told], call);
  return String(outputs[0]);
}

const IN_WORKER = `${process.pid}/main`;

for (const [name, make] of [
  ["threads", (count?: number): ModelSpec => threads<typeof behave>(BEHAVE, { threads: count }) as ModelSpec],
  ["processes", (count?: number): ModelSpec => processes<typeof behave>(BEHAVE, { processes: count }) as ModelSpec],
] as const) {
  test(`${name}: a model without any, one where settings allow none, and one that is debugged run in the worker`, async (t) => {
    const context = openContext(t);
    for (const opening of [
      make(0).open(context, OPTIONS),
      make().open({ ...context, mode: "debug" }, OPTIONS),
      make(2).open({ ...context, modelSettings: { ...DEFAULT_MODEL_SETTINGS, parallelWorkers: 0 } }, OPTIONS),
    ]) {
      await using model = await opening;
      assert.equal(await where(model), IN_WORKER);
    }
    await using elsewhere = await make().open(context, OPTIONS);
    assert.notEqual(await where(elsewhere), IN_WORKER);
  });

  test(`${name}: options that are out of range are refused in the plan`, () => {
    assert.throws(() => make(-1), new PlanError(`${name}: ${name} must be a whole number, 0 or more (got -1)`));
    assert.throws(() => make(1.5), PlanError);
    for (const place of [threads, processes]) {
      assert.throws(() => place(DOUBLE, { settings: () => 1 }), /: settings must be plain data: /);
      assert.throws(() => place(DOUBLE, { maxInFlight: 0 }), /: maxInFlight must be a whole number, 1 or more/);
      assert.throws(() => place(DOUBLE, { redeliver: -1 }), /: redeliver must be a whole number, 0 or more/);
    }
  });
}

test("models of one pool share its processes, and leave none behind", async (t) => {
  const context = openContext(t);
  const before = new Set(descendants(process.pid));
  const open = (options: object) => processes(BEHAVE, { pool: "p", processes: 1, ...options }).open(context, OPTIONS);
  {
    await using first = await open({});
    await using second = await open({ settings: { other: true } });
    assert.equal(await where(first), await where(second));
    await assert.rejects(open({ processes: 2 }), /pool "p" is in use with other options/);
    assert.equal(descendants(process.pid).filter((pid) => !before.has(pid)).length, 1);
  }
  assert.deepEqual(
    descendants(process.pid).filter((pid) => !before.has(pid)),
    [],
  );
});
