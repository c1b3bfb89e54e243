import assert from "node:assert/strict";
import { test } from "node:test";

import type { Event, SourceSpec } from "millrace";
import { DataError, from, memorySource, NO_WATERMARK } from "millrace";

import type { Sink } from "../../src/contracts.ts";
import type { DeadLetter, LetterBox } from "../../src/dead-letter.ts";
import { createInstance } from "../../src/pipeline/instance.ts";
import type { Plan } from "../../src/pipeline/plan.ts";
import { bareContext } from "../support/bare-context.ts";
import { boxOf, sinkOf } from "./source-of.ts";

const CONTEXT = bareContext();

const nothing = async () => undefined;

/** A sink that asks about what it refuses before it writes. */
function asking(bad: readonly number[]) {
  const taken: unknown[] = [];
  const sink: Sink = {
    write: async (events, _signal, refuse) => {
      for (const event of events) {
        if (bad.includes(Number(event.value))) refuse?.(event, new DataError("asking", event, new RangeError("too much")));
        else taken.push(event.value);
      }
    },
    [Symbol.asyncDispose]: nothing,
  };
  return { taken, sink };
}

/** A sink that refuses some values, and what it has taken. */
function choosy(bad: readonly number[]) {
  const taken: unknown[] = [];
  const sink: Sink = {
    write: async (events: readonly Event[]) => {
      for (const event of events) {
        if (bad.includes(Number(event.value))) throw new DataError("choosy", event, new RangeError("too much"));
        taken.push(event.value);
      }
    },
    [Symbol.asyncDispose]: nothing,
  };
  return { taken, sink };
}

async function run(plan: Plan, sinks: readonly Sink[], write: LetterBox["write"]) {
  const instance = createInstance(plan, CONTEXT, {
    openSink: async (spec) => sinks[plan.sinks.indexOf(spec)] as Sink,
    openLetters: async () => ({ write, async *read() {}, resolve: nothing, [Symbol.asyncDispose]: nothing }),
  });
  await instance.run(new AbortController().signal);
  return instance.counters;
}

test("what a sink refuses follows the policy, and the rest is written in order, to each sink", async () => {
  const source = memorySource(Array.from({ length: 10 }, (_, value) => ({ value })));
  // Events of one place: which of them was refused is not told by that.
  const stream = from(source).flatMap((value) => (value === 5 ? [50, 51, 52] : [value]));
  const sinks = [choosy([1, 51, 9]), choosy([9, 0])];
  const letters: DeadLetter[] = [];
  const counters = await run(
    stream.deadLetter(boxOf()).to([sinkOf(), sinkOf()]),
    sinks.map(({ sink }) => sink),
    async (written) => void letters.push(...written),
  );
  assert.deepEqual(
    sinks.map(({ taken }) => taken),
    [
      [0, 2, 3, 4, 50, 52, 6, 7, 8],
      [1, 2, 3, 4, 50, 51, 52, 6, 7, 8],
    ],
  );
  const refused = letters.map(({ step, error, message, value }) => [step, error, message, String(value)]);
  assert.deepEqual(
    refused.toSorted((a, b) => Number(a[3]) - Number(b[3])),
    [0, 1, 9, 51].map((value) => ["choosy", "RangeError", "too much", String(value)]),
  );
  assert.deepEqual([counters.in, counters.out, counters.deadLettered], [10, 8, 4]);
});

test("a sink that asks about an event leaves it out, or ends there", async () => {
  const source = () => memorySource(Array.from({ length: 6 }, (_, value) => ({ value })));
  const { taken, sink } = asking([1, 4]);
  const counters = await run(from(source()).onError("skip").to(sinkOf()), [sink, sink], nothing);
  assert.deepEqual([taken, counters.out, counters.skipped], [[0, 2, 3, 5], 4, 2]);
  const strict = asking([3]);
  await assert.rejects(
    run(from(source()).to(sinkOf()), [strict.sink], nothing),
    (error) => error instanceof DataError && error.place?.offset === 3,
  );
  assert.deepEqual(strict.taken, [0, 1, 2]);
});

test("a handler can say what becomes of what a sink refuses, but not send it on", async () => {
  const source = memorySource(Array.from({ length: 5 }, (_, value) => ({ value })));
  const { taken, sink } = choosy([1, 3]);
  const letters: DeadLetter[] = [];
  const plan = from(source)
    .deadLetter(boxOf())
    .onError(({ event }) => (event.value === 1 ? "skip" : { value: 0 }))
    .to(sinkOf());
  const counters = await run(plan, [sink], async (written) => void letters.push(...written));
  assert.deepEqual(taken, [0, 2, 4]);
  assert.deepEqual([counters.skipped, letters.map(({ offset }) => offset)], [1, [3]]);
});

/** A source of numbers, one in a batch, that notes what is committed. */
function oneByOne(count: number) {
  const commits: number[] = [];
  const origin = { system: "memory", name: "numbers", partition: undefined };
  const spec: SourceSpec<number> = {
    ...from(memorySource<number>([])).to(sinkOf()).source,
    open: async () => ({
      async *partitions() {
        yield {
          name: "numbers",
          signal: new AbortController().signal,
          async *read() {
            for (let offset = 0; offset < count; offset++) {
              const rest = { key: undefined, time: Number.NaN, headers: undefined, watermark: NO_WATERMARK, size: 1 };
              yield { events: [{ value: offset, origin, offset, ...rest }], position: offset + 1, watermark: NO_WATERMARK };
            }
          },
          commit: async (position: number) => void commits.push(position),
          [Symbol.asyncDispose]: nothing,
        };
      },
      [Symbol.asyncDispose]: nothing,
    }),
  };
  return { spec, commits };
}

test("while the box for dead letters is away nothing behind a letter is done, and no letter is lost", async () => {
  const { spec, commits } = oneByOne(6);
  const { taken, sink } = choosy([]);
  const back = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const kept: number[] = [];
  const plan = from(spec)
    .filter((value) => {
      if (value % 2 === 1) throw new RangeError("odd");
      return true;
    })
    .deadLetter(boxOf())
    .to(sinkOf());
  const running = run(plan, [sink], async (letters) => {
    asked.resolve();
    await back.promise;
    kept.push(...letters.map(({ offset }) => offset));
  });
  await asked.promise;
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => void setImmediate(resolve));
  assert.deepEqual([commits.filter((position) => position > 1), kept, taken], [[], [], [0]]);
  back.resolve();
  const counters = await running;
  assert.deepEqual([kept, taken, commits.at(-1), counters.deadLettered], [[1, 3, 5], [0, 2, 4], 6, 3]);
});

test("a box that can't keep a letter ends the task, and nothing behind the letter is done", async () => {
  const { spec, commits } = oneByOne(4);
  const { sink } = choosy([2]);
  const plan = from(spec).deadLetter(boxOf()).to(sinkOf());
  const refuses = run(plan, [sink], () => Promise.reject(new Error("the box is broken")));
  await assert.rejects(refuses, { message: "the box is broken" });
  assert.deepEqual(commits.at(-1), 2);
});
