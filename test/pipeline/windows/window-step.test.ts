import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { Batch, Clock, Fold, Step, Stream, WindowSpec, WindowValues } from "millrace";
import { count, countOrTime, from, session, sliding, tumbling } from "millrace";
import type { Advance, TestEvent } from "millrace/testing";
import { advance, runPipeline } from "millrace/testing";

import { windowPlan } from "../../../src/pipeline/windows/window-options.ts";
import { windowStep } from "../../../src/pipeline/windows/window-step.ts";
import { sinkOf, sourceOf } from "../source-of.ts";

/** A record: its id is its offset, so that a result tells by its values which records it needs. */
interface Item {
  readonly key: string;
  readonly time: number;
  readonly id: number;
}

const input = fc
  .array(fc.record({ key: fc.constantFrom("a", "b", "c"), time: fc.integer({ min: 0, max: 300 }) }), { maxLength: 60 })
  .map((events) => events.map(({ key, time }, id): Item => ({ key, time, id })));

const specs: readonly [string, WindowSpec][] = [
  ["tumbling", tumbling(30)],
  ["sliding", sliding(60, 20)],
  ["session", session(15)],
  ["count", count(3)],
  ["sliding count", count(4, 2)],
  ["count or time", countOrTime(3, 40)],
];

const steps: readonly [string, (stream: Stream<Item>) => Stream<unknown>][] = [
  ...specs.map(([name, spec]): [string, (stream: Stream<Item>) => Stream<unknown>] => [name, (stream) => stream.window(spec)]),
  ...specs.map(([name, spec]): [string, (stream: Stream<Item>) => Stream<unknown>] => [
    `windows after ${name}`,
    (stream) => stream.window(spec).window(tumbling(40), { per: "all" }),
  ]),
  ["sessions after sessions", (stream) => stream.window(session(15)).window(session(5))],
  ["a batch", (stream) => stream.batch({ size: 4, key: ({ key }) => key })],
  ["a batch after windows", (stream) => stream.window(sliding(60, 20)).batch({ size: 4 })],
  ["a batch per key after sessions", (stream) => stream.window(session(15)).batch({ size: 3, key: ({ key }) => key })],
  ["windows after a batch per key", (stream) => stream.batch({ size: 3, key: ({ key }) => key }).window(tumbling(20))],
  ["mapAsync after windows", (stream) => stream.window(tumbling(30)).mapAsync(async (window) => window, { maxInFlight: 2 })],
  ["infer after windows", (stream) => stream.window(tumbling(30)).infer(async (windows) => windows, { batch: { maxSize: 2 } })],
  ["flatMap after windows", (stream) => stream.window(tumbling(30)).flatMap((window) => window.values)],
];

for (const [name, build] of steps) {
  test(`${name}: positions never pass a record that something later is made of, and neither they nor watermarks fall`, async () => {
    await fc.assert(
      fc.asyncProperty(input, fc.integer({ min: 1, max: 20 }), fc.constantFrom("end", "stop"), async (items, batchSize, ending) => {
        const batches: Batch[] = [];
        const timed = from(sourceOf<Item>()).timeBy((item) => item.time, { outOfOrderness: 20 });
        const plan = build(timed).via("watch", watching(batches)).to(sinkOf());
        await runPipeline(
          plan,
          items.map((item) => ({ value: item, key: item.key })),
          { batchSize, ending },
        );
        checkPositions(batches);
        checkWatermarks(batches);
      }),
      { numRuns: 60 },
    );
  });
}

function watching(batches: Batch[]): Step<unknown, unknown> {
  return async function* (given) {
    for await (const batch of given) {
      batches.push({ ...batch, events: batch.events.slice() });
      yield batch;
    }
  };
}

function checkPositions(batches: readonly Batch[]): void {
  let needed = Number.POSITIVE_INFINITY;
  for (const [index, { position, events }] of batches.toReversed().entries()) {
    assert.ok(position <= needed, `position ${position} passes record ${needed} of a later result`);
    for (const { value, offset } of events) needed = Math.min(needed, offset, ...recordsOf(value));
    const before = batches[batches.length - 2 - index]?.position ?? 0;
    assert.ok(before <= position, `the position falls from ${before} to ${position}`);
  }
}

function checkWatermarks(batches: readonly Batch[]): void {
  let before = Number.NEGATIVE_INFINITY;
  let between = Number.NEGATIVE_INFINITY;
  for (const { events, watermark } of batches) {
    for (const event of events) {
      assert.ok(event.watermark >= between, `an event's watermark falls from ${between} to ${event.watermark}`);
      between = event.watermark;
    }
    assert.ok(watermark >= before, `a batch's watermark falls from ${before} to ${watermark}`);
    before = watermark;
    between = Math.max(between, before);
  }
}

/** The ids of all records in a result, however deep. */
function recordsOf(value: unknown): number[] {
  if (Array.isArray(value)) return value.flatMap(recordsOf);
  const { values, id } = value as Partial<WindowValues<unknown>> & Partial<Item>;
  return values === undefined ? [id as number] : values.flatMap(recordsOf);
}

/** A fold whose result can't be made of a window with the number 13. */
const superstitious: Fold<number, number[]> = {
  init: () => [],
  add: (all, n) => [...all, n],
  result: (all) => {
    if (all.includes(13)) throw new Error("no thirteens");
    return all;
  },
};

for (const [name, ending, after, spec] of [
  ["by an event", "stop", [25], tumbling(10)],
  ["at the end of the input", "end", [], tumbling(10)],
  ["by the clock", "stop", [advance(50)], tumbling(10, { time: "processing" })],
] as const) {
  test(`a result that can't be made when a window closes ${name} is a data error at its first record, where the task begins again`, async () => {
    const batches: Batch[] = [];
    const numbers: (TestEvent | Advance)[] = [1, 2, 13].map((value) => ({ value, key: value < 13 ? "a" : "b" }));
    const plan = from(sourceOf<number>())
      .timeBy((n) => (n === 13 ? 3 : n))
      .window(spec, { fold: superstitious })
      .via("watch", watching(batches))
      .to(sinkOf());
    const more = after.map((item) => (typeof item === "number" ? { value: item, key: "a" } : item));
    await assert.rejects(runPipeline(plan, [...numbers, ...more], { ending, start: 1000 }), {
      name: "DataError",
      message: 'step "window" at memory test/0@2: no thirteens',
    });
    assert.equal(batches.at(-1)?.position, 2);
    assert.deepEqual(
      batches.flatMap(({ events }) => events.map(({ value }) => (value as { value: unknown }).value)),
      [[1, 2]],
    );
  });
}

test("in processing time a window that is closed stays so, also when the clock is set back", async () => {
  const times = [1005, 1012, 1003, 1004];
  let now = 1000;
  const clock: Clock = { now: () => now, elapsed: () => 0, after: () => () => undefined };
  const setTheClock: Step<number, number> = async function* (input) {
    for await (const batch of input) {
      now = times[batch.events[0]?.value ?? 0] ?? now;
      yield batch;
    }
  };
  const backwards: Step<number, unknown> = (input, run) =>
    windowStep(windowPlan("window", tumbling(10, { time: "processing" }), {}))(setTheClock(input, run), { ...run, clock });
  const plan = from(sourceOf<number>()).via("window", backwards).to(sinkOf());
  const run = await runPipeline<WindowValues<number>>(
    plan,
    [0, 1, 2, 3].map((value) => ({ value })),
    { batchSize: 1 },
  );
  assert.deepEqual(
    run.values.map(({ start, values }) => [start, values]),
    [
      [1000, [0]],
      [1010, [1, 2, 3]],
    ],
  );
});
