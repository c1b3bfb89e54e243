import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { Heap } from "../../src/pipeline/heap.ts";

interface Item {
  readonly rank: number;
  alive: boolean;
}

function heapOfItems(): Heap<Item> {
  return new Heap<Item>(
    (a, b) => a.rank < b.rank,
    (item) => item.alive,
  );
}

test("gives what is alive, smallest first, whatever died meanwhile", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ rank: fc.nat(50), dies: fc.boolean() }), { maxLength: 300 }), (given) => {
      const heap = heapOfItems();
      const wanted: number[] = [];
      for (const { rank, dies } of given) {
        const item = { rank, alive: true };
        heap.push(item);
        if (dies) item.alive = false;
        else wanted.push(rank);
      }
      const got: number[] = [];
      for (let next = heap.pop(); next !== undefined; next = heap.pop()) got.push(next.rank);
      assert.deepEqual(
        got,
        wanted.toSorted((a, b) => a - b),
      );
    }),
  );
});

test("what died behind an item that stays at the top is let go of", () => {
  const heap = heapOfItems();
  heap.push({ rank: 0, alive: true });
  let most = 0;
  for (let rank = 1; rank <= 10_000; rank++) {
    const item = { rank, alive: true };
    heap.push(item);
    item.alive = false;
    most = Math.max(most, heap.size);
  }
  assert.ok(most <= 100, `${most} items are held for one that is alive`);
});
