import assert from "node:assert/strict";
import { test } from "node:test";

import type { Event, OpenContext } from "millrace";
import { DataError, from, memorySource } from "millrace";

import { systemClock } from "../../src/clock.ts";
import type { DeadLetter, LetterBox, Sink } from "../../src/contracts.ts";
import { SILENT } from "../../src/contracts.ts";
import { createInstance } from "../../src/pipeline/instance.ts";
import type { Plan } from "../../src/pipeline/plan.ts";
import { boxOf, sinkOf } from "./source-of.ts";

const CONTEXT: OpenContext = {
  task: { id: "test", product: "test", instance: 0, instances: 1 },
  connections: {
    kafka: { brokers: [], client: "platformatic", ssl: false, sasl: undefined },
    nats: { servers: [], credentials: undefined },
    redis: { url: "" },
  },
  shared: { lease: () => Promise.reject(new Error("nothing is shared here")) },
  logger: SILENT,
  clock: systemClock,
  signal: new AbortController().signal,
  mode: "run",
  waiting: () => undefined,
};

const nothing = async () => undefined;

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
