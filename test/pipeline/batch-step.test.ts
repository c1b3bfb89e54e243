import assert from "node:assert/strict";
import { test } from "node:test";

import type { BatchOptions } from "millrace";
import { from } from "millrace";
import type { Advance, TestEvent } from "millrace/testing";
import { advance, runPipeline } from "millrace/testing";

import { sinkOf, sourceOf } from "./source-of.ts";

interface Item {
  readonly k: string;
  readonly v: number;
}

async function batched(options: BatchOptions<Item>, input: readonly (TestEvent | Advance)[], ending: "end" | "stop" = "end") {
  const plan = from(sourceOf<Item>()).batch(options).to(sinkOf());
  const run = await runPipeline<readonly Item[]>(plan, input, { ending });
  return { batches: run.values.map((batch) => batch.map((item) => item.v)), position: run.position };
}

const item = (k: string, v: number) => ({ value: { k, v } });

test("batches by size; the end of a finite input gives what is left, a planned stop keeps it for later", async () => {
  const input = Array.from({ length: 10 }, (_, v) => item("a", v));
  assert.deepEqual(await batched({ size: 4 }, input), {
    batches: [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ],
    position: 10,
  });
  assert.deepEqual(await batched({ size: 4 }, input, "stop"), {
    batches: [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ],
    position: 8,
  });
});

test("batches per key, each of its own size; the rest in the order in which it began", async () => {
  const input = [item("a", 1), item("b", 2), item("a", 3), item("b", 4), item("c", 5), item("a", 6)];
  const { batches } = await batched({ size: 2, key: ({ k }) => k }, input);
  assert.deepEqual(batches, [[1, 3], [2, 4], [5], [6]]);
});

test("a batch ends its time after its own first event; one that was full does not shorten the next", async () => {
  const timed: (TestEvent | Advance)[] = [
    item("x", 1),
    advance(50),
    item("x", 2),
    advance(250),
    item("x", 3),
    advance(10),
    item("x", 4),
    advance(10),
    item("x", 5),
    advance(280),
    item("x", 6),
  ];
  const { batches } = await batched({ size: 3, time: 200 }, timed);
  assert.deepEqual(batches, [[1, 2], [3, 4, 5], [6]]);
});

test("the time of each key counts from its own first event", async () => {
  const input = [item("a", 1), advance(200), item("b", 2), advance(101), item("a", 3), advance(100), item("b", 4)];
  const { batches } = await batched({ time: 300, key: ({ k }) => k }, input);
  assert.deepEqual(
    batches,
    [[1], [2, 4], [3]].toSorted((a, b) => (a[0] ?? 0) - (b[0] ?? 0)),
  );
});

test("a key that is no text or number is a data error of its event", async () => {
  await assert.rejects(batched({ size: 2, key: () => ({}) as string }, [item("a", 1)]), {
    message: 'step "batch" at memory test/0@0: a key must be text or a number, got object',
  });
});

test("what batches hold that are not full is bounded, and more is an error that says what to do", async () => {
  const input = Array.from({ length: 10 }, (_, v) => item(`key ${v}`, v));
  const options = { size: 2, key: ({ k }: Item) => k };
  assert.equal((await batched({ ...options, maxHeldEvents: 10 }, input)).batches.length, 10);
  await assert.rejects(batched({ ...options, maxHeldEvents: 9 }, input), {
    name: "BatchLimitError",
    message: 'step "batch": 9 events are held, which is the limit; use smaller or shorter batches or fewer keys, or raise maxHeldEvents',
  });
});

test("many keys that end together take no longer each than few", { timeout: 20_000 }, async () => {
  const input = Array.from({ length: 200_000 }, (_, v) => item(`key ${v}`, v));
  const { batches } = await batched({ time: "1h", key: ({ k }) => k }, input);
  assert.equal(batches.length, 200_000);
});
