import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { DeduplicateOptions } from "millrace";
import { from, PlanError } from "millrace";
import type { TestEvent } from "millrace/testing";
import { runPipeline } from "millrace/testing";

import { boxOf, sinkOf, sourceOf } from "../source-of.ts";

interface Item {
  readonly id: string;
  readonly n: number;
}

/** An item of the id; n is its place in the input. */
function items(...given: readonly (readonly [id: string, time?: number, key?: string])[]): TestEvent[] {
  return given.map(([id, time, key], n) => ({
    value: { id, n },
    ...(time === undefined ? {} : { time }),
    ...(key === undefined ? {} : { key }),
  }));
}

/** The places of the items that went through, and how many were dropped. */
async function through(options: DeduplicateOptions, input: readonly TestEvent[], outOfOrderness = 0) {
  const begun = from(sourceOf<Item>());
  const timed = options.within === undefined ? begun : begun.timeBy((_, { time }) => time, { outOfOrderness });
  const plan = timed.deduplicate(({ id }) => id, options).to(sinkOf());
  const { values, counters, position } = await runPipeline<Item>(plan, input);
  assert.equal(position, input.length);
  assert.equal(counters.out + counters.deduplicated, counters.in);
  return values.map(({ n }) => n);
}

test("among the last ids: the first goes through, its repeats do not and are not remembered anew", async () => {
  assert.deepEqual(await through({ count: 2 }, items(["a"], ["a"], ["b"], ["a"], ["c"], ["a"], ["b"])), [0, 2, 4, 5, 6]);
});

test("within a time: until the watermark is that much beyond the first one's time", async () => {
  const input = items(["a", 0], ["a", 99], ["b", 99], ["a", 100], ["c", 101], ["a", 102], ["b", 150], ["x", 200], ["b", 201]);
  // The watermark before an event is the highest time before it: at the fourth it is 99 still.
  assert.deepEqual(await through({ within: 100 }, input), [0, 2, 4, 5, 7, 8]);
});

test("with events out of order an id is remembered as long as a repeat of it may come in time", async () => {
  const input = items(["a", 100], ["b", 90], ["x", 190], ["b", 189], ["a", 190], ["y", 210], ["b", 205], ["a", 205]);
  // Watermarks before them: -∞, 50, 50, 140, 140, 140, 160 and 160: `a` is forgotten at 200, `b` at 190.
  assert.deepEqual(await through({ within: 100 }, input, 50), [0, 1, 2, 5]);
});

test("what comes late is judged by the watermark at which it came", async () => {
  const late = items(["x", 1000], ["a", 10], ["a", 11], ["y", 1099], ["a", 12], ["z", 1100], ["a", 10], ["q", 1150], ["a", 10]);
  // The first `a` is remembered from the watermark 1000 to 1100: the one at 1100 can't be known as a repeat, and goes through.
  assert.deepEqual(await through({ within: 100 }, late), [0, 1, 3, 5, 6, 7]);
});

test("with both bounds an id is forgotten by whichever comes first", async () => {
  const byCount = items(["a", 0], ["b", 1], ["c", 2], ["a", 3]);
  assert.deepEqual(await through({ within: 100, count: 2 }, byCount), [0, 1, 2, 3]);
  const byTime = items(["a", 0], ["x", 100], ["a", 101]);
  assert.deepEqual(await through({ within: 100, count: 5 }, byTime), [0, 1, 2]);
});

test("per key an id is another under another key, also where both together look alike", async () => {
  const input = items(["a", 0, "k"], ["a", 0, "l"], ["a", 0, "k"], ["1:ka", 0], ["a", 0], ["a", 0]);
  assert.deepEqual(await through({ count: 10, per: "key" }, input), [0, 1, 3, 4]);
  assert.deepEqual(await through({ count: 10 }, input), [0, 3]);
});

test("numbers are ids as their text is", async () => {
  const plan = from(sourceOf<string | number | bigint>())
    .deduplicate((value) => value, { count: 10 })
    .to(sinkOf());
  const { values } = await runPipeline(
    plan,
    [7, "7", 7n, 8, 0.5].map((value) => ({ value })),
  );
  assert.deepEqual(values, [7, 8, 0.5]);
});

test("an event without an id is an error of its event, and goes where the policy says", async () => {
  const input = [{ id: "a" }, { id: undefined }, { id: null }, { id: Number.NaN }, { id: {} }, { id: "x".repeat(1025) }, { id: "b" }];
  const build = () => from(sourceOf<{ readonly id: string }>()).deduplicate(({ id }) => id, { count: 10 });
  const events = input.map((value) => ({ value }));
  await assert.rejects(runPipeline(build().to(sinkOf()), events), {
    message: 'step "deduplicate" at memory test/0@1: an id must be text or a number, got undefined',
  });
  const run = await runPipeline(build().deadLetter(boxOf()).to(sinkOf()), events);
  assert.deepEqual(run.values, [{ id: "a" }, { id: "b" }]);
  assert.deepEqual(
    run.letters.map(({ offset, step, message }) => [offset, step, message]),
    [
      [1, "deduplicate", "an id must be text or a number, got undefined"],
      [2, "deduplicate", "an id must be text or a number, got null"],
      [3, "deduplicate", "an id must be text or a number, got NaN"],
      [4, "deduplicate", "an id must be text or a number, got object"],
      [5, "deduplicate", "an id may have 1024 characters at most, and this one has 1025; use a hash of it"],
    ],
  );
  assert.deepEqual([run.counters.deadLettered, run.counters.out, run.counters.deduplicated, run.position], [5, 2, 0, 7]);
});

test("an error ends the task at its event: what came before it has gone through, and its repeats are counted", async () => {
  const plan = from(sourceOf<Item>())
    .deduplicate(
      ({ id }) => {
        if (id === "bad") throw new Error("no");
        return id;
      },
      { count: 10 },
    )
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, items(["a"], ["a"], ["bad"], ["b"])), {
    message: 'step "deduplicate" at memory test/0@2: no',
  });
});

test("more ids than the limit are an error that says what to do; those that are forgotten make room", async () => {
  const input = items(["a", 0], ["b", 1], ["a", 2], ["c", 3]);
  const plan = (limit: number) =>
    from(sourceOf<Item>())
      .deduplicate(({ id }) => id, { within: 1000, maxIds: limit })
      .to(sinkOf());
  await assert.rejects(runPipeline(plan(2), input), {
    name: "DeduplicateLimitError",
    message:
      'step "deduplicate": 2 ids are remembered, which is the limit; raise maxIds, shorten within, or give count to forget the oldest',
  });
  assert.equal((await runPipeline(plan(3), input)).values.length, 3);
  const spread = items(["a", 0], ["b", 2000], ["x", 2001], ["c", 4000], ["y", 4001]);
  assert.equal((await runPipeline(plan(3), spread)).values.length, 5);
});

test("what it needs is looked at before anything runs", () => {
  const build = (options: unknown, idOf: unknown = () => "a") =>
    from(sourceOf<Item>()).deduplicate(idOf as () => string, options as DeduplicateOptions);
  const wrong: readonly (readonly [options: unknown, message: string])[] = [
    [undefined, "give within, count, or both"],
    [{}, "give within, count, or both"],
    ["10s", "give within, count, or both"],
    [{ within: "soon" }, 'within: "soon" is no duration'],
    [{ within: 0 }, "within: must be longer than 0"],
    [{ count: 0 }, "count must be a whole number, 1 or more (got 0)"],
    [{ count: 1.5 }, "count must be a whole number, 1 or more (got 1.5)"],
    [{ within: "1s", maxIds: -1 }, "maxIds must be a whole number, 1 or more (got -1)"],
    [{ count: 5, maxIds: 10 }, "count bounds the ids already, by forgetting the oldest; leave maxIds out"],
    [{ count: 5, per: "user" }, "per must be key or all (got user)"],
  ];
  for (const [options, message] of wrong) {
    assert.throws(
      () => build(options),
      (error) => error instanceof PlanError && error.message.startsWith(`step "deduplicate": ${message}`),
      message,
    );
  }
  assert.throws(() => build({ count: 1 }, "id"), { name: "PlanError", message: 'step "deduplicate": give it a function, got string' });
});

test("a time needs event times: the records' own where there are any, else a timeBy", async () => {
  const build = (source: "timestamps" | "no timestamps", options: DeduplicateOptions) =>
    from(sourceOf<Item>(source))
      .deduplicate(({ id }) => id, options)
      .to(sinkOf());
  assert.deepEqual(
    build("timestamps", { within: "1m" }).steps.map(({ name }) => name),
    ["record-time", "deduplicate"],
  );
  assert.throws(() => build("no timestamps", { within: "1m" }), {
    message: 'step "deduplicate": needs event times, and records of a memory source have none; put a timeBy before it',
  });
  assert.deepEqual(
    build("no timestamps", { count: 5 }).steps.map(({ name }) => name),
    ["deduplicate"],
  );
});

test("the plan tells it as a step with state", () => {
  const [, , step] = from(sourceOf<Item>())
    .timeBy(({ n }) => n)
    .map((item) => item)
    .deduplicate(({ id }) => id, { within: "10m", count: 100, per: "key", name: "once" })
    .to(sinkOf()).steps;
  assert.deepEqual(
    [step?.name, step?.kind, step?.stateful, step?.memory?.shape],
    ["once", "deduplicate", true, "ids seen with their times by key"],
  );
  assert.deepEqual({ ...step?.description }, { within: "10m", count: 100, per: "key", maxIds: undefined });
});

test("whatever comes: as a list of ids with times, looked through for each event, would have it", async () => {
  const given = fc.array(fc.record({ id: fc.constantFrom("a", "b", "c", "d"), time: fc.integer({ min: 0, max: 300 }) }), { maxLength: 80 });
  const bounds = fc.record({
    within: fc.option(fc.integer({ min: 1, max: 120 }), { nil: undefined }),
    count: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(
      given,
      bounds,
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 1, max: 20 }),
      async (all, options, lag, batchSize) => {
        fc.pre(options.within !== undefined || options.count !== undefined);
        const plan = from(sourceOf<Item>())
          .timeBy((_, { time }) => time, { outOfOrderness: lag })
          .deduplicate(({ id }) => id, options)
          .to(sinkOf());
        const run = await runPipeline<Item>(plan, items(...all.map(({ id, time }) => [id, time] as const)), { batchSize });
        assert.deepEqual(
          run.values.map(({ n }) => n),
          expected(all, options, lag),
        );
      },
    ),
    { numRuns: 300 },
  );
});

/** The places of the events that go through. */
function expected(given: readonly { readonly id: string; readonly time: number }[], bounds: DeduplicateOptions, lag: number): number[] {
  const { within = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY } = bounds;
  const gone: { readonly id: string; readonly from: number; readonly n: number }[] = [];
  let watermark = Number.NEGATIVE_INFINITY;
  for (const [n, { id, time }] of given.entries()) {
    // `within` is a number here.
    const known = gone.slice(-count).filter(({ from: began }) => began + Number(within) > watermark);
    if (!known.some((other) => other.id === id)) gone.push({ id, from: Math.max(time, watermark), n });
    watermark = Math.max(watermark, time - lag);
  }
  return gone.map(({ n }) => n);
}
