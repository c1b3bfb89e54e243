import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { Batch, Step } from "millrace";
import { END_OF_INPUT, from, sum, tumbling } from "millrace";
import { advance, runPipeline } from "millrace/testing";

import { SILENT } from "../../src/contracts.ts";
import type { RunContext } from "../../src/contracts.ts";
import { noCounts } from "../../src/pipeline/counters.ts";
import { unorderedCalls } from "../../src/pipeline/unordered-calls.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { eventOf } from "../support/open-context.ts";
import { until } from "../support/until.ts";
import { boxOf, sinkOf, sourceOf } from "./source-of.ts";

const numbers = (...values: number[]) => values.map((value) => ({ value }));
const upTo = (n: number) => Array.from({ length: n }, (_, index) => index);

/** Calls that end when told to. */
function gates() {
  const open = new Map<number, PromiseWithResolvers<number>>();
  const call = async (n: number): Promise<number> => {
    const gate = Promise.withResolvers<number>();
    open.set(n, gate);
    return await gate.promise;
  };
  return { open, call, end: (n: number) => open.get(n)?.resolve(n) };
}

/** Notes each batch as its values and position. */
function noting<T>(seen: string[]): Step<T, T> {
  return async function* note(input: AsyncIterable<Batch<T>>) {
    for await (const batch of input) {
      seen.push(`${batch.events.map(({ value }) => String(value)).join(" ")} @${batch.position}`);
      yield batch;
    }
  };
}

test("results go on as they are done, and the position only over what is done", async () => {
  const { open, call, end } = gates();
  const seen: string[] = [];
  const plan = from(sourceOf<number>()).mapAsync(call, { maxInFlight: 3, ordered: false }).via("note", noting<number>(seen)).to(sinkOf());
  const running = runPipeline(plan, numbers(0, 1, 2, 3, 4), { batchSize: 1 });
  await until("open.size === 3", () => open.size === 3, { every: 1 });
  end(2);
  // Its place is free for the next one.
  await until("open.size === 4", () => open.size === 4, { every: 1 });
  end(1);
  await until("open.size === 5", () => open.size === 5, { every: 1 });
  assert.deepEqual(seen, ["2 @0", "1 @0"]);
  for (const n of [0, 4, 3]) end(n);
  const { values, position } = await running;
  assert.deepEqual(
    values.toSorted((a, b) => Number(a) - Number(b)),
    [0, 1, 2, 3, 4],
  );
  assert.deepEqual(values.slice(0, 3), [2, 1, 0]);
  assert.equal(position, 5);
});

test("windows behind it lose nothing: no event comes with a watermark that one before it has not reached", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 5 }),
      async (turns, batchSize, maxInFlight) => {
        const stream = from(sourceOf<number>()).timeBy((n) => n * 10);
        const slow = async (n: number): Promise<number> => {
          for (let turn = 0; turn < (turns[n] ?? 0); turn++) await Promise.resolve();
          return n;
        };
        const windows = (ordered: boolean) =>
          stream
            .mapAsync(slow, { maxInFlight, ordered })
            .window(tumbling(40), { per: "all", fold: sum((n) => n) })
            .map(({ start, count, value }) => [start, count, value])
            .to(sinkOf());
        const input = numbers(...turns.keys());
        const free = await runPipeline(windows(false), input, { batchSize });
        assert.deepEqual(free.values, (await runPipeline(windows(true), input, { batchSize })).values);
        assert.equal(free.counters.late, 0);
      },
    ),
    { numRuns: 60 },
  );
});

test("an event that fails ends the pipeline when all before it are done; those behind it may have gone on", async () => {
  const { open, call, end } = gates();
  const passed: number[] = [];
  const plan = from(sourceOf<number>())
    .mapAsync(call, { maxInFlight: 3, ordered: false })
    .tap((n) => void passed.push(n))
    .to(sinkOf());
  const running = runPipeline(plan, numbers(0, 1, 2));
  await until("open.size === 3", () => open.size === 3, { every: 1 });
  open.get(1)?.reject(new Error("boom"));
  end(2);
  await until("passed.length === 1", () => passed.length === 1, { every: 1 });
  end(0);
  await assert.rejects(running, { message: 'step "mapAsync" at memory test/0@1: boom' });
  assert.deepEqual(passed, [2, 0]);
});

test("failed events are dead letters in their order, before the position passes them", async () => {
  const plan = from(sourceOf<number>())
    .infer(
      async (rows) => {
        for (let turn = 0; turn < (rows[0] ?? 0) % 3; turn++) await Promise.resolve();
        return rows.map((n) => {
          if (n % 4 === 1) throw new RangeError(`${n}`);
          return n;
        });
      },
      { ordered: false, maxInFlight: 4, batch: { maxSize: 2 }, onError: "deadLetter" },
    )
    .deadLetter(boxOf())
    .to(sinkOf());
  const { values, letters, position } = await runPipeline<number>(plan, numbers(...upTo(12)), { batchSize: 5 });
  assert.deepEqual(
    values.toSorted((a, b) => a - b),
    [0, 2, 3, 4, 6, 7, 8, 10, 11],
  );
  assert.deepEqual(
    letters.map(({ offset }) => offset),
    [1, 5, 9],
  );
  assert.equal(position, 12);
});

/** Runs calls over batches, and gives what comes of them. */
async function* called(batches: readonly Batch[], call: (n: number) => Promise<unknown>): AsyncGenerator<Batch> {
  const run = {
    signal: new AbortController().signal,
    counters: noCounts(),
    clock: new VirtualClock(),
    logger: SILENT,
  } as unknown as RunContext;
  async function* input(): AsyncGenerator<Batch> {
    yield* batches;
  }
  yield* unorderedCalls(input(), run, { step: "call", size: 1, limit: 10 }, async (events) => {
    for (const event of events) event.value = await call(event.value as number);
    return [];
  });
}

test("a barrier passes behind all before it, and nothing behind it is begun before", async () => {
  const { open, call, end } = gates();
  const of = (...values: number[]) => values.map((value) => eventOf(value, value));
  const batches = [
    { events: of(0, 1), position: 2, watermark: 1 },
    { events: [], position: 2, watermark: 1, barrier: { number: 1 } },
    { events: of(2), position: 3, watermark: 2 },
  ];
  const seen: unknown[] = [];
  const reading = (async () => {
    for await (const { events, position, barrier } of called(batches, call))
      seen.push([events.map(({ value }) => value), position, barrier?.number]);
  })();
  await until("open.size === 2", () => open.size === 2, { every: 1 });
  end(1);
  await until("seen.length === 1", () => seen.length === 1, { every: 1 });
  assert.deepEqual([...open.keys()], [0, 1]);
  end(0);
  await until("open.size === 3", () => open.size === 3, { every: 1 });
  assert.deepEqual(seen, [
    [[1], 0, undefined],
    [[0], 2, undefined],
    [[], 2, 1],
  ]);
  end(2);
  await reading;
  assert.deepEqual(seen.at(-1), [[2], 3, undefined]);
});

test("positions and watermarks never fall, and events never tell more than all before them allow", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 6 }), { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.boolean()),
      async (shapes, barriers) => {
        const batches: Batch[] = [];
        const turns = new Map<number, number>();
        let offset = 0;
        for (const shape of shapes) {
          const events = shape.map((slow) => {
            const event = { ...eventOf(offset, offset), watermark: offset - 1 };
            turns.set(offset++, slow);
            return event;
          });
          batches.push({ events, position: offset, watermark: offset - 1 });
          if (barriers.next().value === true)
            batches.push({ events: [], position: offset, watermark: offset - 1, barrier: { number: offset } });
        }
        batches.push({ events: [], position: offset, watermark: END_OF_INPUT });
        const done = new Set<number>();
        let [position, watermark] = [0, Number.NEGATIVE_INFINITY];
        const slow = async (n: number) => {
          for (let turn = 0; turn < (turns.get(n) ?? 0); turn++) await Promise.resolve();
          return n;
        };
        for await (const batch of called(batches, slow)) {
          for (const event of batch.events) {
            assert.ok(event.watermark >= watermark);
            watermark = event.watermark;
            // It may tell a time only when all events from before that time have gone by.
            for (let before = 0; before <= event.watermark; before++)
              assert.ok(done.has(before) || before === event.offset || batch.events.some((other) => other.offset === before));
            done.add(event.offset);
          }
          assert.ok(batch.position >= position && batch.watermark >= watermark);
          ({ position, watermark } = batch);
          for (let before = 0; before < position; before++) assert.ok(done.has(before));
          if (batch.barrier !== undefined) assert.equal(done.size, batch.position);
        }
        assert.equal(done.size, offset);
        assert.equal(watermark, END_OF_INPUT);
      },
    ),
    { numRuns: 200 },
  );
});

test("a call that never ends stops those behind it at a bound, not the memory", async () => {
  const { open, call } = gates();
  let begun = 0;
  const plan = from(sourceOf<number>())
    .mapAsync((n) => ((begun += 1), n === 0 ? call(n) : n), { maxInFlight: 8, ordered: false })
    .to(sinkOf());
  const running = runPipeline(plan, numbers(...upTo(20_000)), { batchSize: 100 });
  let before = 0;
  await until("no more calls are begun", () => {
    const last = before;
    before = begun;
    return begun > 0 && begun === last;
  });
  assert.ok(begun > 5000 && begun < 17_000, `${begun} calls`);
  open.get(0)?.resolve(0);
  const { values, position } = await running;
  assert.deepEqual([values.length, position], [20_000, 20_000]);
});

test("a sink with the delivery exactly-once refuses it", () => {
  const plan = () =>
    from({ ...sourceOf<number>(), kind: "kafka" })
      .mapAsync(async (n) => n, { ordered: false })
      .to({ ...sinkOf("kafka"), transactsWith: "kafka" });
  assert.throws(plan, { name: "PlanError", message: /needs steps that keep the order, and "mapAsync" has ordered: false/ });
});

test("its batches come with the timer of idle inputs as well", async () => {
  const plan = from(sourceOf<number>())
    .mapAsync(async (n) => n, { ordered: false })
    .to(sinkOf());
  const { values } = await runPipeline(plan, [...numbers(1), advance("1m"), ...numbers(2)]);
  assert.deepEqual(values, [1, 2]);
});
