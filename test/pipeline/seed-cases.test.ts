import assert from "node:assert/strict";
import { test } from "node:test";

import type { Clock, Stream } from "millrace";
import { DataError, from } from "millrace";
import type { Advance, TestEvent } from "millrace/testing";
import { advance, runPipeline } from "millrace/testing";

import { BATCHES, CONCURRENCY, REFUSED_BATCHES, REFUSED_CALLS, RETRIES, SLEEPS, TIMED_BATCHES } from "./seed-cases.ts";
import { sinkOf, sourceOf } from "./source-of.ts";

interface Item {
  readonly k: string;
  readonly v: number;
}

const numbers = (...values: number[]) => values.map((value) => ({ value }));

/** Passes everything on, and shows the clock that the pipeline goes by. */
function withClock<T>(stream: Stream<T>): { readonly stream: Stream<T>; readonly now: () => number } {
  let clock: Clock | undefined;
  const watched = stream.via<T>("clock", (input, run) => {
    clock = run.clock;
    return input;
  });
  return { stream: watched, now: () => clock?.now() ?? Number.NaN };
}

for (const { id, retries, factor, failures, result, attempts, waits } of RETRIES) {
  test(`${id}: ${attempts} attempts for ${failures} failures, with waits of ${waits.join(", ") || "nothing"}`, async () => {
    const { stream, now } = withClock(from(sourceOf<number>()));
    const calls: number[] = [];
    const plan = stream
      .mapAsync(
        async (n) => {
          calls.push(now());
          if (calls.length <= failures) throw new Error(`fail${calls.length}`);
          return n * 10;
        },
        { ...(retries === undefined ? {} : { retries }), ...(factor === undefined ? {} : { backoffFactor: factor }) },
      )
      .to(sinkOf());
    const outcome = await runPipeline<number>(plan, numbers(7)).then(
      (run) => run.values[0],
      (error: unknown) => (error instanceof DataError ? (error.cause as Error).message : error),
    );
    assert.equal(outcome, result);
    assert.deepEqual(
      calls.slice(1).map((at, index) => (at - (calls[index] ?? 0)) / 1000),
      waits,
    );
    assert.equal(calls.length, attempts);
  });
}

test(`${SLEEPS.id}: results come in input order, however long each call takes`, async () => {
  const { stream, now } = withClock(from(sourceOf<number>()));
  const ends: number[] = [];
  const plan = stream
    .mapAsync(
      async (ms) => {
        await new Promise((resolve) => {
          setTimeout(resolve, ms / 10);
        });
        ends.push(ms);
        return ms;
      },
      { maxInFlight: SLEEPS.maxInFlight },
    )
    .to(sinkOf());
  const run = await runPipeline<number>(plan, numbers(...SLEEPS.sleeps));
  assert.deepEqual(run.values, SLEEPS.sleeps);
  assert.notDeepEqual(ends, SLEEPS.sleeps);
  assert.equal(now(), 0);
});

for (const { id, maxInFlight } of CONCURRENCY) {
  test(`${id}: ${maxInFlight} of twelve calls are under way at once`, async () => {
    const twelve = Array.from({ length: 12 }, (_, index) => index);
    let now = 0;
    let most = 0;
    const plan = from(sourceOf<number>())
      .mapAsync(
        async (n) => {
          most = Math.max(most, ++now);
          await new Promise(setImmediate);
          now -= 1;
          return n;
        },
        { maxInFlight },
      )
      .to(sinkOf());
    const run = await runPipeline<number>(plan, numbers(...twelve));
    assert.equal(most, maxInFlight);
    assert.deepEqual(run.values, twelve);
  });
}

for (const { id, maxInFlight, message } of REFUSED_CALLS) {
  test(`${id}: maxInFlight of ${maxInFlight} is refused`, () => {
    assert.throws(() => from(sourceOf<number>()).mapAsync(async (n) => n, { maxInFlight }), { name: "PlanError", message });
  });
}

test("S019: a call that fails ends the flow there, and what came before it has passed", async () => {
  const passed: number[] = [];
  const plan = from(sourceOf<number>())
    .mapAsync(
      async (n) => {
        if (n === 3) throw new Error("boom");
        return n;
      },
      { maxInFlight: 1 },
    )
    .tap((n) => void passed.push(n))
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, numbers(1, 2, 3, 4, 5, 6, 7)), { message: 'step "mapAsync" at memory test/0@2: boom' });
  assert.deepEqual(passed, [1, 2]);
});

for (const maxInFlight of [1, 2]) {
  // Storey blames the concurrent step when it has more than one call in flight.
  test(`S026: an error after a concurrent step with ${maxInFlight} in flight is that of the step that raised it`, async () => {
    const plan = from(sourceOf<number>())
      .mapAsync(async (n) => n, { maxInFlight })
      .map((n) => {
        if (n === 2) throw new Error("downstream bad");
        return n;
      })
      .to(sinkOf());
    await assert.rejects(runPipeline(plan, numbers(1, 2, 3)), { message: 'step "map" at memory test/0@1: downstream bad' });
  });
}

test("S028: with passContext the function gets a context as its second argument", async () => {
  const plan = from(sourceOf<number>())
    .mapAsync(async (n, context) => [n, context.task.id], { passContext: true })
    .to(sinkOf());
  assert.deepEqual((await runPipeline(plan, numbers(1, 2))).values, [
    [1, "test"],
    [2, "test"],
  ]);
});

for (const { id, size, key, input, output } of BATCHES) {
  test(`${id}: batches of ${size}${key === undefined ? "" : " per key"}; the end gives the rest`, async () => {
    const plan = from(sourceOf<Item>())
      .batch({ size, ...(key === undefined ? {} : { key: (item: Item) => item[key] }) })
      .to(sinkOf());
    const run = await runPipeline<readonly Item[]>(
      plan,
      input.map((value) => ({ value })),
    );
    assert.deepEqual(
      run.values.map((batch) => batch.map(({ v }) => v)),
      output,
    );
  });
}

for (const { id, options, input, output } of TIMED_BATCHES) {
  test(`${id}: batches of ${options.size}, or ${options.time} ms after their first event`, async () => {
    const { key, ...sizes } = options;
    const { stream, now } = withClock(from(sourceOf<Item>()));
    const given: [number, number[]][] = [];
    const plan = stream
      .batch({ ...sizes, ...(key === undefined ? {} : { key: (item: Item) => item[key] }) })
      .tap((batch) => void given.push([now(), batch.map(({ v }) => v)]))
      .to(sinkOf());
    const timeline: (TestEvent | Advance)[] = [];
    let at = 0;
    for (const { at: next, ...value } of input) {
      timeline.push(advance(next - at), { value });
      at = next;
    }
    await runPipeline(plan, [...timeline, advance(1000)]);
    assert.deepEqual(given, output);
  });
}

test("S101: batches per key; unlike streamz, the end of a finite input gives what is left", async () => {
  const plan = from(sourceOf<number>())
    .batch({ size: 2, key: (x) => x % 2 })
    .to(sinkOf());
  const input = numbers(0, 1, 2, 3, 4, 5);
  const full = [
    [0, 2],
    [1, 3],
  ];
  assert.deepEqual((await runPipeline(plan, input, { ending: "stop" })).values, full);
  assert.deepEqual((await runPipeline(plan, input)).values, [...full, [4], [5]]);
});

for (const { id, options, message } of REFUSED_BATCHES) {
  test(`${id}: batch refuses ${JSON.stringify(options)}`, () => {
    assert.throws(() => from(sourceOf<number>()).batch(options), { name: "PlanError", message });
  });
}

test("S045: filter keeps what the function is true for", async () => {
  const plan = from(sourceOf<number>())
    .filter((x) => x > 3)
    .to(sinkOf());
  const run = await runPipeline(plan, numbers(0, 1, 2, 3, 4, 5, 6));
  assert.deepEqual(run.values, [4, 5, 6]);
  assert.equal(run.counters.filtered, 4);
});

test("S046: flatMap gives what the function gives, in order", async () => {
  const plan = from(sourceOf<number>())
    .flatMap((x) => [x, x * 10])
    .to(sinkOf());
  assert.deepEqual((await runPipeline(plan, numbers(1, 2))).values, [1, 10, 2, 20]);
});
