import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { ErrorPolicy } from "millrace";
import { DataError, from, PlanError, tumbling } from "millrace";
import { runPipeline } from "millrace/testing";

import { noCounts } from "../../src/pipeline/counters.ts";
import { boxOf, sinkOf, sourceOf } from "./source-of.ts";

/** The steps of `everyStep`, in order. */
const STEPS = ["map", "filter", "flatMap", "tap", "keyBy", "timeBy", "mapAsync", "infer"] as const;
type StepName = (typeof STEPS)[number];

interface Value {
  readonly n: number;
  /** The step that throws on it. */
  readonly bad?: StepName | "fatal" | undefined;
}

class FatalError extends Error {}

function throwing(step: StepName, value: Value): void {
  if (value.bad === step) throw new RangeError(`${step} can't take ${value.n}`);
  if (value.bad === "fatal" && step === "tap") throw new FatalError("no step can take it");
}

interface Shape {
  readonly policies: Readonly<Record<StepName, ErrorPolicy>>;
  readonly maxInFlight: number;
  readonly rows: number;
}

function everyStep({ policies, maxInFlight, rows }: Shape) {
  const onError = (name: StepName) => ({ onError: policies[name] });
  const pass = <R>(name: StepName, value: Value, result: R): R => {
    throwing(name, value);
    return result;
  };
  // Later calls are answered first.
  const later = async (n: number) => {
    for (let turn = n % 3; turn < 3; turn++) await Promise.resolve();
  };
  return from(sourceOf<Value>("no timestamps"))
    .map((value) => pass("map", value, value), onError("map"))
    .filter((value) => pass("filter", value, value.n % 5 !== 4), onError("filter"))
    .flatMap((value) => pass("flatMap", value, [value]), onError("flatMap"))
    .tap((value) => throwing("tap", value), { onError: { FatalError: "fail", default: policies.tap as "skip" } })
    .keyBy((value) => pass("keyBy", value, value.n), onError("keyBy"))
    .timeBy((value) => pass("timeBy", value, value.n), onError("timeBy"))
    .mapAsync(
      async (value) => {
        await later(value.n);
        return pass("mapAsync", value, value);
      },
      { ...onError("mapAsync"), maxInFlight },
    )
    .infer(
      async (values) => {
        await later(values.length);
        for (const value of values) throwing("infer", value);
        return values.map(({ n }) => n);
      },
      { ...onError("infer"), maxInFlight, batch: { maxSize: rows } },
    )
    .deadLetter(boxOf())
    .onError("deadLetter", { breaker: "off" })
    .to(sinkOf());
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  policies: fc.record(
    Object.fromEntries(STEPS.map((step) => [step, fc.constantFrom("skip" as const, "deadLetter" as const)])) as Record<
      StepName,
      fc.Arbitrary<"skip" | "deadLetter">
    >,
  ),
  maxInFlight: fc.integer({ min: 1, max: 4 }),
  rows: fc.integer({ min: 1, max: 6 }),
});

test("whatever fails where, each event is delivered, filtered, a dead letter or skipped, in order, and all are done", async () => {
  const bad = fc.option(fc.constantFrom(...STEPS), { nil: undefined, freq: 2 });
  await fc.assert(
    fc.asyncProperty(shapes, fc.array(bad, { maxLength: 40 }), fc.integer({ min: 1, max: 12 }), async (shape, bads, batchSize) => {
      const input = bads.map((where, n) => ({ value: { n, bad: where } }));
      const run = await runPipeline(everyStep(shape), input, { batchSize });
      const reaches = (n: number, step: StepName) => n % 5 !== 4 || STEPS.indexOf(step) <= STEPS.indexOf("filter");
      const failing = input.map(({ value }) => value).filter(({ n, bad: where }) => where !== undefined && reaches(n, where));
      const failed = new Set(failing.map(({ n }) => n));
      const lettered = failing.filter(({ bad: where }) => shape.policies[where as StepName] === "deadLetter");
      const numbers = input.map(({ value }) => value.n);
      const dropped = numbers.filter((n) => n % 5 === 4 && !failed.has(n));
      assert.deepEqual(
        run.values,
        numbers.filter((n) => !failed.has(n) && n % 5 !== 4),
      );
      assert.deepEqual(
        run.letters.map(({ offset }) => offset).toSorted((a, b) => a - b),
        lettered.map(({ n }) => n),
      );
      assert.deepEqual(
        { ...run.counters },
        {
          ...noCounts(),
          in: numbers.length,
          out: run.values.length,
          filtered: dropped.length,
          deadLettered: lettered.length,
          skipped: failing.length - lettered.length,
        },
      );
      assert.equal(run.position, numbers.length);
    }),
  );
});

test("an error that the policy does not take ends the pipeline exactly at its event", async () => {
  await fc.assert(
    fc.asyncProperty(shapes, fc.integer({ max: 20, min: 0 }), fc.integer({ min: 1, max: 9 }), async (shape, fatal, batchSize) => {
      const at = fatal % 5 === 4 ? fatal + 1 : fatal;
      const input = Array.from({ length: 26 }, (_, n) => ({
        value: { n, bad: n === at ? ("fatal" as const) : n % 7 === 3 ? ("map" as const) : undefined },
      }));
      await assert.rejects(runPipeline(everyStep(shape), input, { batchSize }), (error) => {
        assert.ok(error instanceof DataError);
        assert.deepEqual([error.step, error.place?.offset], ["tap", at]);
        return true;
      });
    }),
  );
});

/** What a comparison of letters leaves out. */
const HIDDEN = { id: undefined, stack: undefined, version: undefined, message: undefined };

test("a dead letter has the record as it was read, and why and where it failed", async () => {
  const plan = from(sourceOf<string>())
    .map((text) => JSON.parse(text) as { readonly n: number })
    .keyBy(() => "other", { name: "by-other" })
    .map((value) => {
      if (value.n === 1) throw new RangeError("one is too few");
      return { ...value, n: 0 };
    })
    .deadLetter(boxOf())
    .to(sinkOf());
  const record = { key: "k", time: 5, headers: [["trace", "t-1"]] as const };
  const { letters, values } = await runPipeline(
    plan,
    [{ ...record, value: "no json" }, { ...record, value: '{"n":1}' }, { value: '{"n":2}' }],
    {
      start: 1000,
    },
  );
  assert.deepEqual(values, [{ n: 0 }]);
  assert.deepEqual(
    letters.map((letter) => ({ ...letter, value: String(letter.value), ...HIDDEN })),
    [
      { step: "map", error: "SyntaxError", offset: 0, value: "no json" },
      { step: "map-2", error: "RangeError", offset: 1, value: '{"n":1}' },
    ].map((letter) => ({
      task: "test",
      product: "test",
      origin: { system: "memory", name: "test", partition: 0 },
      holds: "record",
      key: "k",
      headers: [["trace", "t-1"]],
      time: 5,
      attempts: 1,
      firstFailure: 1000,
      lastFailure: 1000,
      ...HIDDEN,
      ...letter,
    })),
  );
  assert.match(letters[1]?.stack ?? "", /one is too few\n +at /);
  assert.notEqual(letters[0]?.id, letters[1]?.id);
});

test("a replay that fails keeps its letter's id, whatever the step, and adds up the attempts", async () => {
  const failing = (name: string) =>
    from(sourceOf())
      .map(
        () => {
          throw new Error("again");
        },
        { name },
      )
      .deadLetter(boxOf())
      .to(sinkOf());
  const [first] = (await runPipeline(failing("parse"), [{ value: 1 }], { start: 10 })).letters;
  assert.ok(first !== undefined);
  const headers = [
    ["a", "b"],
    ["millrace-replay", first.id],
    ["millrace-attempts", "1"],
    ["millrace-first", "10"],
  ] as const;
  const input = [{ value: 0 }, { value: 1, headers }];
  const [, again] = (await runPipeline(failing("score"), input, { start: 20 })).letters;
  assert.deepEqual(
    { ...again, stack: undefined },
    { ...first, step: "score", offset: 1, headers: [["a", "b"]], attempts: 2, lastFailure: 20, stack: undefined },
  );
  const forged = [["millrace-replay", "../../etc"]] as const;
  const [fresh] = (await runPipeline(failing("parse"), [{ value: 1, headers: forged }], { start: 10 })).letters;
  assert.equal(fresh?.id, first.id);
});

test("a fold that throws leaves no trace in its windows, and a result that throws becomes a letter of the window", async () => {
  const fold = {
    n: { init: () => 0, add: (n: number) => n + 1 },
    checked: {
      init: () => [] as number[],
      add: (all: number[], value: number) => {
        if (value < 0) throw new RangeError("negative");
        all.push(value);
        return all;
      },
      result: (all: number[]) => {
        if (all.includes(100)) throw new RangeError("the result is too much");
        return all.length;
      },
    },
  };
  const plan = from(sourceOf<number>()).window(tumbling(10), { fold, per: "all" }).deadLetter(boxOf()).to(sinkOf());
  const input = [1, -1, 2, -2, 100, 3].map((value, index) => ({ value, time: index * 4 }));
  const { values, letters, counters, position } = await runPipeline(plan, input);
  assert.deepEqual(values, [
    { key: undefined, start: 0, end: 10, count: 2, value: { n: 2, checked: 2 } },
    { key: undefined, start: 20, end: 30, count: 1, value: { n: 1, checked: 1 } },
  ]);
  assert.deepEqual(
    letters.map(({ holds, offset, message, value }) => [holds, offset, message, String(value)]),
    [
      ["record", 1, "negative", "-1"],
      ["record", 3, "negative", "-2"],
      ["derived", 4, "the result is too much", '{"start":10,"end":20,"count":1,"state":[1,[100]]}'],
    ],
  );
  assert.deepEqual([counters.deadLettered, position], [3, 6]);
});

test("what a pipeline says about errors is checked with its plan", () => {
  const stream = from(sourceOf<number>());
  const fails = (build: () => unknown, message: RegExp) =>
    assert.throws(build, (error) => error instanceof PlanError && message.test(error.message));
  fails(
    () => stream.map(Number, { name: "parse", onError: "deadLetter" }).to(sinkOf()),
    /step "parse": onError says deadLetter, and there is no box/,
  );
  fails(() => stream.onError({ RangeError: "deadLetter" }).to(sinkOf()), /the pipeline: onError says deadLetter/);
  fails(() => stream.map(Number, { onError: "ignore" as "skip" }), /step "map": onError must be "fail", "skip", "deadLetter"/);
  fails(() => stream.map(Number, { onError: { RangeError: "ignore" as "skip" } }), /onError.RangeError must be/);
  fails(() => stream.deadLetter(sinkOf("redis")), /a redis sink can't keep dead letters/);
  fails(() => stream.deadLetter(boxOf()).deadLetter(boxOf()), /give it once/);
  fails(() => stream.onError("skip").onError("fail"), /give it once/);
  fails(() => stream.onError("skip", { breaker: { share: 50 } }).to(sinkOf()), /breaker.share must be from 0 to 1/);
});
