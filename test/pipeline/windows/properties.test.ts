import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { WindowOptions, WindowSpec, WindowValues } from "millrace";
import { count, countOrTime, from, session, sliding, tumbling } from "millrace";
import { runPipeline } from "millrace/testing";

import { sinkOf, sourceOf } from "../source-of.ts";
import type { Item } from "./oracle.ts";
import { canonical, countWindows, sessions, timeWindows } from "./oracle.ts";

const BOUND = 40;

/** Events of a few keys whose order breaks time by at most BOUND, so that none is late; small numbers, so that ties are common. */
const ordered = fc
  .array(
    fc.record({
      key: fc.constantFrom("a", "b", "c"),
      time: fc.integer({ min: -100, max: 400 }),
      delay: fc.integer({ min: 0, max: BOUND }),
    }),
    {
      maxLength: 60,
    },
  )
  .map((events) => events.toSorted((a, b) => a.time + a.delay - (b.time + b.delay)).map(({ key, time }, id): Item => ({ key, time, id })));

/** Events in any order: many are late. */
const unordered = fc
  .array(fc.record({ key: fc.constantFrom("a", "b"), time: fc.integer({ min: 0, max: 300 }) }), { maxLength: 60 })
  .map((events) => events.map(({ key, time }, id): Item => ({ key, time, id })));

const specs: readonly [string, WindowSpec, (items: readonly Item[]) => WindowValues<Item>[]][] = [
  ["tumbling", tumbling(50), (items) => timeWindows(items, 50, 50)],
  ["sliding", sliding(60, 20), (items) => timeWindows(items, 60, 20)],
  ["sliding with a slide that does not divide the size", sliding(50, 30), (items) => timeWindows(items, 50, 30)],
  ["session", session(15), (items) => sessions(items, 15)],
  ["count", count(4), (items) => countWindows(items, 4, 4)],
  ["sliding count", count(5, 2), (items) => countWindows(items, 5, 2)],
];

for (const [name, spec, oracle] of specs) {
  test(`${name} windows are what the plain definition gives, for any order within the bound and any cut`, async () => {
    await fc.assert(
      fc.asyncProperty(ordered, fc.integer({ min: 1, max: 70 }), async (items, batchSize) => {
        const { values, counters } = await windowed(spec, items, batchSize);
        assert.deepEqual(canonical(values), canonical(oracle(items)));
        assert.equal(counters.late, 0);
      }),
      { numRuns: 150 },
    );
  });
}

const all: readonly [string, WindowSpec, WindowOptions][] = [
  ...specs.map(([name, spec]): [string, WindowSpec, WindowOptions] => [name, spec, {}]),
  ["tumbling with lateness", tumbling(50), { lateness: 30 }],
  ["sliding with lateness", sliding(60, 20), { lateness: 25 }],
  ["session with lateness", session(15), { lateness: 20 }],
  ["session over all", session(15), { per: "all" }],
  ["count or time", countOrTime(3, 30), {}],
  ["count or time with lateness", countOrTime(3, 30), { lateness: 10 }],
];

for (const [name, spec, options] of all) {
  test(`${name}: results, their order, and what is late do not depend on where batches were cut, also with late events`, async () => {
    await fc.assert(
      fc.asyncProperty(unordered, fc.integer({ min: 1, max: 20 }), async (items, batchSize) => {
        const whole = await windowed(spec, items, Number.POSITIVE_INFINITY, options);
        const cut = await windowed(spec, items, batchSize, options);
        assert.deepEqual(cut.values, whole.values);
        assert.deepEqual(cut.late, whole.late);
      }),
      { numRuns: 100 },
    );
  });

  test(`${name}: every event is in a window or late, and windows after windows lose nothing`, async () => {
    await fc.assert(
      fc.asyncProperty(unordered, fc.integer({ min: 1, max: 20 }), async (items, batchSize) => {
        const { values, late } = await windowed(spec, items, batchSize, options);
        const kept = new Set(values.flatMap((window) => window.values.map((value) => value.id)));
        for (const id of late) assert.ok(!kept.has(id), `event ${id} is late and in a window`);
        if (spec.kind !== "count") assert.equal(kept.size + late.length, items.length);
        const plan = from(sourceOf<Item>())
          .timeBy((item) => item.time, { outOfOrderness: BOUND })
          .window(spec, options)
          .window(tumbling(40), { per: "all" })
          .to(sinkOf());
        const chained = await runPipeline<WindowValues<WindowValues<Item>>>(plan, items.map(eventOf), { batchSize });
        const inner = chained.values.flatMap((window) => window.values);
        assert.deepEqual(canonical(inner), canonical(values));
        const starts = chained.values.map((window) => window.start);
        assert.equal(new Set(starts).size, starts.length, "a window gave two results");
      }),
      { numRuns: 60 },
    );
  });
}

async function windowed(spec: WindowSpec, items: readonly Item[], batchSize: number, options: WindowOptions = {}) {
  const plan = from(sourceOf<Item>())
    .timeBy((item) => item.time, { outOfOrderness: BOUND })
    .window(spec, { ...options, late: sinkOf("late") })
    .to(sinkOf());
  const run = await runPipeline<WindowValues<Item>>(plan, items.map(eventOf), { batchSize });
  return { values: run.values, counters: run.counters, late: (run.sides["window"] ?? []).map((event) => (event.value as Item).id) };
}

function eventOf(item: Item) {
  return { value: item, key: item.key, time: item.time };
}
