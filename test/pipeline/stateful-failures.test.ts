import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { WindowSpec } from "millrace";
import { count, countOrTime, DataError, from, session, sliding, tumbling } from "millrace";
import { advance, runPipeline } from "millrace/testing";

import { boxOf, sinkOf, sourceOf } from "./source-of.ts";

const WINDOWS: Readonly<Record<string, WindowSpec>> = {
  tumbling: tumbling(10),
  sliding: sliding(10, 4),
  session: session(5),
  count: count(3, 2),
  countOrTime: countOrTime(3, 10),
  processing: tumbling(10, { time: "processing" }),
};

/** Both folds see each value; the second one refuses negative ones after the first has counted them. */
const fold = {
  all: {
    init: () => ({ n: 0 }),
    add: (state: { n: number }) => ({ n: state.n + 1 }),
    merge: (a: { n: number }, b: { n: number }) => ({ n: a.n + b.n }),
  },
  sum: {
    init: () => 0,
    add: (total: number, value: number) => {
      if (value < 0) throw new RangeError("negative");
      return total + value;
    },
    merge: (a: number, b: number) => a + b,
  },
};

test("an event that a window's fold throws on leaves no trace: results are those of a stream without it", async () => {
  const events = fc.array(fc.record({ step: fc.integer({ min: 0, max: 6 }), bad: fc.boolean(), key: fc.constantFrom("a", "b") }), {
    maxLength: 40,
  });
  for (const [name, spec] of Object.entries(WINDOWS)) {
    const plan = from(sourceOf<number>()).window(spec, { fold }).deadLetter(boxOf()).onError("deadLetter", { breaker: "off" }).to(sinkOf());
    await fc.assert(
      fc.asyncProperty(events, fc.integer({ min: 1, max: 9 }), async (steps, batchSize) => {
        let time = 0;
        const input = steps.map(({ step, bad, key }, index) => {
          // A bad one has the time of the one before it, so that without it the watermarks are the same.
          if (!bad) time += step;
          return { value: bad ? -1 : index, time, key };
        });
        const run = await runPipeline(plan, input, { batchSize });
        const good = input.filter(({ value }) => value >= 0);
        const without = await runPipeline(plan, good);
        assert.deepEqual(run.values, without.values, name);
        assert.equal(run.letters.length, input.length - good.length);
        // A count window that is not full holds the position at its first record, as it does without failures.
        if (spec.kind !== "count") assert.equal(run.position, input.length);
      }),
      { numRuns: 40 },
    );
  }
});

test("a fold that throws because of what it holds ends the task, whatever the policy says", async () => {
  const limited = {
    init: () => 0,
    add: (n: number) => {
      if (n === 2) throw new RangeError("two are enough");
      return n + 1;
    },
  };
  const plan = from(sourceOf<number>()).window(tumbling(10), { fold: limited, per: "all" }).onError("skip").to(sinkOf());
  const input = [0, 1, 2, 3].map((value) => ({ value, time: value }));
  await assert.rejects(runPipeline(plan, input), (error) => error instanceof DataError && error.place?.offset === 2);
});

test("an event without a key that a batch can take is left out, and the batches go on", async () => {
  const plan = from(sourceOf<number | null>())
    .batch({ size: 2, key: (value) => (value === null ? ({} as never) : value % 2), onError: "skip" })
    .to(sinkOf());
  const { values, counters, position } = await runPipeline(
    plan,
    [0, null, 1, 2, null, 3, 4].map((value) => ({ value })),
    { batchSize: 3 },
  );
  assert.deepEqual(values, [[0, 2], [1, 3], [4]]);
  assert.deepEqual([counters.skipped, position], [2, 7]);
});

test("an event whose time is farther beyond the clock than maxAhead is an error of its own, and makes no other late", async () => {
  const plan = from(sourceOf<number>())
    .timeBy((value) => value, { maxAhead: "1s" })
    .window(tumbling(1000), { per: "all" })
    .map(({ values }) => values)
    .deadLetter(boxOf())
    .to(sinkOf());
  const input = [{ value: 100 }, { value: 50_000 }, { value: 1000 }, advance("2s"), { value: 3000 }, { value: 3001 }];
  const { values, letters, counters } = await runPipeline(plan, input);
  assert.deepEqual(values, [[100], [1000], [3000]]);
  assert.deepEqual(
    letters.map(({ value, message }) => [String(value), message]),
    [
      ["50000", "the event time is 49000 ms farther beyond the clock's time than maxAhead allows"],
      ["3001", "the event time is 1 ms farther beyond the clock's time than maxAhead allows"],
    ],
  );
  assert.equal(counters.late, 0);
});
