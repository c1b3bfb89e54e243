import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { count, countOrTime, from, session, sliding, sum, tumbling } from "millrace";
import type { Stream, WindowSpec } from "millrace";

import type { Event } from "../../../src/batch.ts";
import { MemoryCheckpoints } from "../../support/memory-checkpoints.ts";
import { sinkOf, sourceOf } from "../source-of.ts";
import type { Attempt, Given } from "./restarted.ts";
import { restarted } from "./restarted.ts";

/** What a result is, for comparison: all of it but where it lies in memory. */
function shown({ value, key, time, offset }: Event): string {
  return JSON.stringify([value, key, time, offset]);
}

const events = fc.array(
  fc.record({ key: fc.constantFrom("a", "b", "c"), time: fc.integer({ min: 0, max: 400 }), n: fc.integer({ min: 0, max: 9 }) }),
  {
    minLength: 1,
    maxLength: 120,
  },
);
const attempts = fc.array(
  fc.record({
    events: fc.integer({ min: 0, max: 40 }),
    ending: fc.constantFrom("crash", "stop"),
    batchSize: fc.integer({ min: 1, max: 12 }),
  }) as fc.Arbitrary<Attempt>,
  { maxLength: 6 },
);

interface Reading {
  readonly time: number;
  readonly n: number;
}

const begun = () =>
  from(sourceOf<Reading>())
    .timeBy(({ time }) => time, { outOfOrderness: 60 })
    .filter(({ n }) => n > 0);

const specs: Readonly<Record<string, () => WindowSpec>> = {
  tumbling: () => tumbling(50),
  sliding: () => sliding(60, 20),
  session: () => session(15),
  count: () => count(4),
  "overlapping count": () => count(5, 2),
  countOrTime: () => countOrTime(5, 80),
};

const pipelines: Record<string, () => Stream<unknown>> = {
  "batch by key": () => begun().batch({ size: 5, key: (_, event) => event.key }),
  "window after window": () =>
    begun()
      .window(tumbling(20), { fold: { total: sum(({ n }: Reading) => n) } })
      .window(tumbling(100), { per: "all", fold: { total: sum(({ value }) => value.total), windows: count() } }),
};
for (const [name, spec] of Object.entries(specs)) {
  pipelines[`${name} windows of values`] = () => begun().window(spec(), { lateness: spec().kind === "count" ? 0 : 10 });
  pipelines[`${name} windows of folds`] = () => begun().window(spec(), { fold: { total: sum(({ n }: Reading) => n), events: count() } });
}

for (const [name, build] of Object.entries(pipelines)) {
  test(`${name}: results after crashes and stops are those of a run without`, async () => {
    await fc.assert(
      fc.asyncProperty(events, attempts, fc.constantFrom(0, 1, 3), async (given, runs, interval) => {
        const input: Given[] = given.map((event) => ({ value: event, key: event.key }));
        const plan = build().to(sinkOf());
        const clean = await restarted(plan, input, [], {});
        const store = new MemoryCheckpoints();
        const faulted = await restarted(plan, input, runs, { store, interval });
        const expected = clean.results.map(shown);
        assert.deepEqual(new Set(faulted.results.map(shown)), new Set(expected));
        const stopsOnly = runs.every(({ ending }) => ending === "stop");
        if (stopsOnly) assert.deepEqual(faulted.results.map(shown), expected);
        // Finished: nothing is kept.
        for (const { manifest, parts } of store.entries.values()) assert.deepEqual([manifest, parts.size], [undefined, 0]);
      }),
      { numRuns: 60 },
    );
  });
}
