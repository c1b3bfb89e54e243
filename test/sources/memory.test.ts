import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { Batch } from "../../src/batch.ts";
import { END_OF_INPUT } from "../../src/batch.ts";
import { type MemoryEvent, memorySource } from "../../src/sources/memory.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { openContext } from "../support/open-context.ts";
import { until } from "../support/until.ts";

type Input = Iterable<MemoryEvent<number>> | AsyncIterable<MemoryEvent<number>>;

async function* read(t: TestContext, input: Input, stop: AbortSignal, clock = new VirtualClock()): AsyncGenerator<Batch> {
  await using source = await memorySource(input).open(openContext(t, { clock }), { stateful: false });
  for await (const partition of source.partitions(stop)) yield* partition.read(undefined);
}

const never = new AbortController().signal;

test("an event has what it was given", async (t) => {
  const headers = [["a", "1"]] as const;
  const [batch] = await Array.fromAsync(read(t, [{ value: 1 }, { value: 2, key: "k", time: 5, headers }], never));
  assert.deepEqual(
    batch?.events.map(({ value, key, time, headers }) => ({ value, key, time, headers })),
    [
      { value: 1, key: undefined, time: Number.NaN, headers: undefined },
      { value: 2, key: "k", time: 5, headers },
    ],
  );
});

test("no more is taken from the input than what was asked for", async (t) => {
  let taken = 0;
  function* endless() {
    for (;;) yield { value: taken++ };
  }
  const batches = read(t, endless(), never);
  await batches.next();
  assert.equal(taken, 1024);
  await batches.next();
  assert.equal(taken, 2048);
  await batches.return(undefined);
});

/** An input that gives what it is told to. */
function feed() {
  const waiting: ((result: IteratorResult<MemoryEvent<number>>) => void)[] = [];
  const values: number[] = [];
  let returned = false;
  const input: AsyncIterable<MemoryEvent<number>> = {
    [Symbol.asyncIterator]: () => ({
      next: () =>
        new Promise((resolve) => {
          const value = values.shift();
          if (value === undefined) waiting.push(resolve);
          else resolve({ value: { value }, done: false });
        }),
      return: () => {
        returned = true;
        return new Promise(() => undefined);
      },
    }),
  };
  const give = (...given: number[]) => {
    for (const value of given) {
      const resolve = waiting.shift();
      if (resolve === undefined) values.push(value);
      else resolve({ value: { value }, done: false });
    }
  };
  return { input, give, end: () => waiting.shift()?.({ value: undefined, done: true }), returned: () => returned };
}

test("what an async input has is handed on without waiting for more, and an idle one yields every second", async (t) => {
  const { input, give, end } = feed();
  const clock = new VirtualClock();
  const batches = read(t, input, never, clock);
  const valuesOf = async () => {
    const { value } = await batches.next();
    return (value as Batch).events.map((event) => event.value);
  };
  give(1, 2, 3);
  assert.deepEqual(await valuesOf(), [1, 2, 3]);
  const idle = valuesOf();
  await until("it waits", () => clock.next === 1000);
  await clock.advance(1000);
  assert.deepEqual(await idle, []);
  const more = valuesOf();
  await until("it waits", () => clock.next !== undefined);
  give(4);
  assert.deepEqual(await more, [4]);
  const last = batches.next();
  await until("it waits", () => clock.next !== undefined);
  end();
  const { value } = await last;
  assert.deepEqual(value, { events: [], position: 4, watermark: END_OF_INPUT });
  assert.equal((await batches.next()).done, true);
});

test("a stop ends it while an async input hangs, and the input is told", async (t) => {
  const { input, returned } = feed();
  const stop = new AbortController();
  const ended = Array.fromAsync(read(t, input, stop.signal));
  stop.abort();
  assert.deepEqual(await ended, []);
  const again = feed();
  const batches = read(t, again.input, new AbortController().signal);
  again.give(1);
  await batches.next();
  await batches.return(undefined);
  assert.equal(again.returned(), true);
  assert.equal(returned(), false, "it was never begun");
});

test("an input that throws ends it with what was thrown", async (t) => {
  function* failing() {
    yield { value: 1 };
    throw new Error("no more");
  }
  await assert.rejects(Array.fromAsync(read(t, failing(), never)), /no more/);
});
