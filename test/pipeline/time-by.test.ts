import assert from "node:assert/strict";
import { test } from "node:test";

import type { TimeOptions, WindowOptions, WindowSpec } from "millrace";
import { count, countOrTime, from, session, sliding, tumbling } from "millrace";
import type { Advance, RunOptions, TestEvent } from "millrace/testing";
import { advance, runPipeline, VirtualClock } from "millrace/testing";

import type { Batch } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import type { RunContext } from "../../src/contracts.ts";
import { timeByStep } from "../../src/pipeline/time-by.ts";
import { settle } from "../../src/virtual-clock.ts";
import { eventOf } from "../support/open-context.ts";
import { until } from "../support/until.ts";
import { sinkOf, sourceOf } from "./source-of.ts";

interface Window {
  readonly key: string | undefined;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly values: readonly number[];
}

/** Windows over numbers that are their own event times. Tells each result as `[start,end) values`. */
async function windows(
  spec: WindowSpec,
  input: readonly (TestEvent | Advance)[],
  options: { time?: TimeOptions; window?: WindowOptions; run?: RunOptions } = {},
) {
  const plan = from(sourceOf<number>())
    .timeBy((time) => time, options.time)
    .window(spec, { ...options.window, late: sinkOf("late") })
    .to(sinkOf());
  const run = await runPipeline<Window>(plan, input, options.run);
  return {
    results: run.values.map(({ start, end, values }) => `[${start},${end}) ${values.join(" ")}`),
    late: (run.sides["window"] ?? []).map((event) => event.value),
    counters: run.counters,
    position: run.position,
  };
}

const at = (...times: number[]) => times.map((value) => ({ value, key: "k" }));
const stopped: RunOptions = { ending: "stop" };

test("a window closes when the watermark reaches its end, which belongs to the next", async () => {
  assert.deepEqual((await windows(tumbling(10), at(0, 9), { run: stopped })).results, []);
  assert.deepEqual((await windows(tumbling(10), at(0, 9, 10), { run: stopped })).results, ["[0,10) 0 9"]);
  assert.deepEqual((await windows(tumbling(10), at(0, 9, 10))).results, ["[0,10) 0 9", "[10,20) 10"]);
});

test("out-of-order events within the bound are in time, others late", async () => {
  const { results, late } = await windows(tumbling(10), at(9, 14, 8, 15, 7), { time: { outOfOrderness: 5 } });
  assert.deepEqual(results, ["[0,10) 9 8", "[10,20) 14 15"]);
  assert.deepEqual(late, [7]);
});

test("lateness keeps a window open; its one result waits for it", async () => {
  const { results, late, counters } = await windows(tumbling(10), at(9, 12, 8, 13, 7), { window: { lateness: 3 }, run: stopped });
  assert.deepEqual(results, ["[0,10) 9 8"]);
  assert.deepEqual(late, [7]);
  assert.equal(counters.late, 1);
});

test("an event is late only when all its windows are closed", async () => {
  const { results, late } = await windows(sliding(20, 10), at(5, 21, 19, 5));
  assert.deepEqual(results, ["[-10,10) 5", "[0,20) 5", "[10,30) 21 19", "[20,40) 21"]);
  assert.deepEqual(late, [5]);
});

test("windows are aligned to the epoch, before it as well", async () => {
  assert.deepEqual((await windows(tumbling(10), at(-1, 0))).results, ["[-10,0) -1", "[0,10) 0"]);
});

test("sessions merge at a distance of the gap, and end the gap after their last event", async () => {
  assert.deepEqual((await windows(session(10), at(0, 10, 21))).results, ["[0,20) 0 10", "[21,31) 21"]);
  const bridged = await windows(session(10), at(0, 18, 9), { time: { outOfOrderness: 20 } });
  assert.deepEqual(
    bridged.results,
    ["[0,28) 0 9 18"].map((text) => text.replace("0 9 18", "0 18 9")),
  );
});

test("two events a gap apart are one session, whatever other keys send between them", async () => {
  const between = [
    { value: 0, key: "a" },
    { value: 10, key: "b" },
    { value: 10, key: "a" },
  ];
  assert.deepEqual((await windows(session(10), between)).results, ["[0,20) 0 10", "[10,20) 10"]);
});

test("count windows give only full ones, from their first to their last event", async () => {
  assert.deepEqual((await windows(count(2), at(1, 5, 7, 8, 9))).results, ["[1,5) 1 5", "[7,8) 7 8"]);
  assert.deepEqual((await windows(count(3, 1), at(1, 2, 3, 4))).results, ["[1,3) 1 2 3", "[2,4) 2 3 4"]);
});

test("count or time: full, or its time after its first event", async () => {
  assert.deepEqual((await windows(countOrTime(3, 10), at(0, 1, 2, 5, 6, 15))).results, ["[0,2) 0 1 2", "[5,15) 5 6", "[15,25) 15"]);
});

test("an idle partition's watermark goes on with the wall clock, from where it was", async () => {
  const idle = { time: { outOfOrderness: 2, idleAfter: 100 }, run: stopped };
  assert.deepEqual((await windows(tumbling(50), [...at(0, 10), advance(99)], idle)).results, []);
  assert.deepEqual((await windows(tumbling(50), [...at(0, 10), advance(100)], idle)).results, ["[0,50) 0 10"]);
  assert.deepEqual((await windows(tumbling(50), [...at(0, 10), advance(60), ...at(20), advance(60)], idle)).results, []);
});

const byValue = { name: "timeBy", timeOf: Number, outOfOrderness: 0, maxAhead: undefined };

test("neither an outage of the source nor a stop of what is behind counts as idleness", async () => {
  const clock = new VirtualClock();
  let away = false;
  const run = { clock, isSourceAway: () => away } as Pick<RunContext, "clock" | "isSourceAway"> as RunContext;
  const input = async function* () {
    yield { events: [eventOf(10, 0)], position: 1, watermark: NO_WATERMARK };
    await new Promise(() => undefined);
  };
  const output = timeByStep(byValue, 100)(input(), run)[Symbol.asyncIterator]();
  const watermarks: number[] = [];
  const ask = async () => void watermarks.push(((await output.next()) as IteratorYieldResult<Batch>).value.watermark);
  await ask();
  const asked = ask();
  away = true;
  await clock.advance(1000);
  away = false;
  await clock.advance(99);
  assert.deepEqual(watermarks, [10]);
  await clock.advance(1);
  await asked;
  assert.deepEqual(watermarks, [10, 110]);
  await clock.advance(10_000);
  const askedLate = ask();
  await clock.advance(1000);
  await askedLate;
  assert.deepEqual(watermarks, [10, 110, 1110]);
});

test("time in which the whole process stood still does not count as idleness", async () => {
  let now = 0;
  let timer: (() => void) | undefined;
  const clock = {
    now: () => now,
    elapsed: () => now,
    after: (_: number, callback: () => void) => {
      timer = callback;
      return () => undefined;
    },
  };
  const run = { clock, isSourceAway: () => false } as Pick<RunContext, "clock" | "isSourceAway"> as RunContext;
  const gate = Promise.withResolvers<void>();
  async function* input(): AsyncGenerator<Batch> {
    yield { events: [eventOf(0, 0)], position: 1, watermark: NO_WATERMARK };
    await gate.promise;
    yield { events: [eventOf(40_000, 1)], position: 2, watermark: NO_WATERMARK };
  }
  const output = timeByStep(byValue, 30_000)(input(), run)[Symbol.asyncIterator]();
  await output.next();
  const next = output.next();
  await until("it waits", () => timer !== undefined);
  // A frozen process finds its timers due before it reads what has come.
  now += 60_000;
  timer?.();
  await settle();
  gate.resolve();
  const { value } = (await next) as { value: Batch };
  assert.deepEqual(
    value.events.map((event) => event.watermark),
    [0],
  );
});

test("in processing time windows go by the clock, and close by it without another event", async () => {
  const input = [...at(7), advance(5), ...at(7), advance(4), ...at(7), advance(1), ...at(7), advance(10)];
  const { results } = await windows(tumbling(10, { time: "processing" }), input, { run: { ending: "stop", start: 1000 } });
  assert.deepEqual(results, ["[1000,1010) 7 7 7", "[1010,1020) 7"]);
  const gaps = [...at(1), advance(5), ...at(2), advance(20), ...at(3)];
  assert.deepEqual((await windows(session(10, { time: "processing" }), gaps)).results, ["[0,15) 1 2", "[25,35) 3"]);
});

test("results of a window in processing time have its times, whatever the source has", async () => {
  const plan = from(sourceOf<number>("no timestamps"))
    .window(tumbling(10, { time: "processing" }))
    .map(({ values }) => values.length)
    .window(tumbling(20))
    .to(sinkOf());
  const { values } = await runPipeline<Window>(plan, [...at(1), advance(10), ...at(1, 1), advance(20), ...at(1)]);
  assert.deepEqual(
    values.map(({ start, values: lengths }) => [start, lengths]),
    [
      [0, [1, 2]],
      [20, [1]],
    ],
  );
});

test("a pipeline with windows goes back to the first event of its oldest open window", async () => {
  const { position } = await windows(tumbling(10), at(1, 2, 11, 12, 22), { run: stopped });
  assert.equal(position, 4);
  const held = await windows(tumbling(10), at(1, 2, 3), { run: stopped });
  assert.equal(held.position, 0);
});

test("without a timeBy windows go by the records' own times", async () => {
  const plan = from(sourceOf<number>()).window(tumbling(10)).to(sinkOf());
  const run = await runPipeline<Window>(plan, [
    { value: 1, time: 5 },
    { value: 2, time: 12 },
  ]);
  assert.deepEqual(
    run.values.map(({ start, values }) => [start, values]),
    [
      [0, [1]],
      [10, [2]],
    ],
  );
});

test("a record without a time, where windows go by it, is told as what it is", async () => {
  const plan = from(sourceOf<number>()).window(tumbling(10)).to(sinkOf());
  await assert.rejects(runPipeline(plan, [{ value: 1 }]), {
    name: "DataError",
    message: 'step "record-time" at memory test/0@0: the record has no time, by which a step after it goes; put a timeBy before it',
  });
});

test("what is no time is a data error of its event, and what came before it is delivered", async () => {
  const wrong = from(sourceOf<unknown>())
    .timeBy((value) => value as number)
    .to(sinkOf());
  await assert.rejects(runPipeline(wrong, [{ value: 1 }, { value: "soon" }]), {
    message: 'step "timeBy" at memory test/0@1: an event time must be a Date or milliseconds since the epoch, got string',
  });
  await assert.rejects(runPipeline(wrong, [{ value: Number.NaN }]), /got NaN/);
  // Nanoseconds: beyond what milliseconds can be, a window that slides by few of them would never end to begin.
  await assert.rejects(runPipeline(wrong, [{ value: 1_700_000_000_000_000_000 }]), /got 1700000000000000000/);
});
