import assert from "node:assert/strict";
import { test } from "node:test";

import type { WindowValues } from "millrace";
import { count, from, mean, sum, tumbling } from "millrace";
import { runPipeline } from "millrace/testing";

import { PlanError } from "../../src/errors.ts";
import { noCounts } from "../../src/pipeline/counters.ts";
import { sinkOf, sourceOf } from "./source-of.ts";

interface Reading {
  readonly device: string;
  readonly at: number;
  readonly celsius: number;
}

const readings: readonly Reading[] = [
  { device: "a", at: 1_000, celsius: 10 },
  { device: "b", at: 2_000, celsius: 20 },
  { device: "a", at: 9_999, celsius: 30 },
  { device: "a", at: 10_000, celsius: 40 },
];

test("a whole pipeline: readings → windows per device → model → sink", async () => {
  const plan = from(sourceOf<string>())
    .map((text) => JSON.parse(text) as Reading)
    .filter((reading) => reading.celsius > 0)
    .keyBy((reading) => reading.device)
    .timeBy((reading) => reading.at)
    .window(tumbling("10s"), {
      fold: { n: count(), total: sum((reading) => reading.celsius), average: mean((reading) => reading.celsius) },
    })
    .infer(async (windows) => windows.map((window) => `${window.key} ${window.start} ${window.value.n} ${window.value.average}`))
    .to(sinkOf());
  const run = await runPipeline(
    plan,
    readings.map((reading) => ({ value: JSON.stringify(reading) })),
  );
  assert.deepEqual(run.values, ["a 0 2 20", "b 0 1 20", "a 10000 1 40"]);
  assert.deepEqual({ ...run.counters }, { ...noCounts(), in: 4, out: 3 });
  assert.equal(run.position, 4);
});

test("steps are named after their methods, and names are unique", () => {
  const plan = from(sourceOf<number>())
    .map((n) => n)
    .map((n) => n)
    .map((n) => n, { name: "double" })
    .to(sinkOf());
  assert.deepEqual(
    plan.steps.map((step) => step.name),
    ["map", "map-2", "double"],
  );
  assert.throws(
    () =>
      from(sourceOf<number>())
        .map((n) => n, { name: "x" })
        .map((n) => n, { name: "x" }),
    {
      name: "PlanError",
      message: 'two steps are named "x"; names in a plan are unique',
    },
  );
});

test("wrong options are errors of the plan, and name the step", () => {
  const stream = from(sourceOf<number>());
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => stream.mapAsync(async (n) => n, { maxInFlight: 0 }), /step "mapAsync": maxInFlight may not be less than 1 \(got 0\)/],
    [() => stream.infer(async (n) => n, { retries: -1 }), /step "infer": retries must be a whole number/],
    [() => stream.infer(async (n) => n, { timeout: "soon" }), /step "infer": timeout: "soon" is no duration/],
    [() => stream.timeBy((n) => n, { outOfOrderness: "1 fortnight" }), /step "timeBy": outOfOrderness: "1 fortnight" is no duration/],
    [() => stream.batch({}), /step "batch": give size, time, or both/],
    [() => stream.window(tumbling("0s")), /tumbling: size: must be longer than 0/],
    [() => stream.window(count(3), { lateness: "1s" }), /count windows have no lateness/],
    [() => stream.to([]), /give at least one sink/],
    [() => from(sourceOf<number>("no timestamps")).window(tumbling("1s")).to(sinkOf()), /step "window": needs event times.*timeBy/],
    [() => from(sourceOf<number>("no timestamps")).window(count(2)).to(sinkOf()), /step "window": needs event times.*timeBy/],
  ];
  for (const [build, message] of wrong)
    assert.throws(build, (error) => error instanceof PlanError && message.test(error.message), String(message));
});

test("what the compiler would refuse is an error of the plan as well, since products run without its check", () => {
  const stream = from(sourceOf<number>());
  const any = (given: unknown) => given as never;
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => from(any({ kafka: { topic: "a" } })), /^from: give a source, such as source\(config\.input\)$/],
    [() => stream.to(any({ file: { path: "-" } })), /^to: give a sink, such as sink\(config\.output\), or an array of sinks$/],
    [() => stream.to([sinkOf(), any(undefined)]), /^to: give a sink/],
    [() => stream.map(any(undefined)), /^step "map": give it a function, got undefined$/],
    [() => stream.infer(any({ predict: () => [] })), /^step "infer": give it a function, got object$/],
    [() => stream.batch({ size: 2, key: any("device") }), /^step "batch": give it a function, got string$/],
    [() => stream.via("own", any(null)), /^step "own": give it a function, got null$/],
    [() => stream.window(any("10s")), /^step "window": give it a window: tumbling/],
    [() => stream.window(tumbling("10s", { time: any("wall") })), /^step "window": time must be event or processing \(got wall\)$/],
    [() => stream.window(tumbling("10s"), { per: any("device") }), /^step "window": per must be key or all \(got device\)$/],
    [
      () =>
        stream.mapAsync(async function* (n) {
          yield n;
        }),
      /^step "mapAsync": its function must give one result or a promise of it, and a generator gives many/,
    ],
    [() => stream.window(tumbling("10s"), { late: any("late.ndjson") }), /^step "window": late must be a sink/],
  ];
  for (const [build, message] of wrong)
    assert.throws(build, (error) => error instanceof PlanError && message.test(error.message), String(message));
});

test("every sink receives every event", async () => {
  const plan = from(sourceOf<number>()).to([sinkOf("one"), sinkOf("two")]);
  const run = await runPipeline(plan, [{ value: 1 }, { value: 2 }]);
  assert.deepEqual(
    run.sinks.map((events) => events.map((event) => event.value)),
    [
      [1, 2],
      [1, 2],
    ],
  );
});

test("windows go by the records' own times also after a step of one's own", async () => {
  const plan = from(sourceOf<number>())
    .via("as-it-is", (input) => input)
    .window(tumbling(10))
    .to(sinkOf());
  const timed = [1, 20].map((value) => ({ value, time: value }));
  const run = await runPipeline<WindowValues<number>>(plan, timed, { ending: "stop" });
  assert.deepEqual(
    run.values.map(({ values }) => values),
    [[1]],
  );
});
