import assert from "node:assert/strict";
import { test } from "node:test";

import type { ItemCodec, Segment, Tracked } from "../../../src/pipeline/state/item-log.ts";
import { ItemLog, UNSAVED } from "../../../src/pipeline/state/item-log.ts";
import { packSegment, unpackSegment } from "../../../src/pipeline/state/segments.ts";

interface Item extends Tracked {
  values: string[];
}

/** Items that grow: only what is new of them is saved. */
const codec: ItemCodec<Item> = {
  encode: (items) => {
    const encoded = items.map(({ sequence, saved, values }) => ({ sequence, saved, values: values.slice(saved) }));
    for (const item of items) item.saved = item.values.length;
    return encoded;
  },
  decode: (block, items, segment) => {
    for (const { sequence, saved, values } of block as { sequence: number; saved: number; values: string[] }[]) {
      const before = saved > 0 ? items.get(sequence) : undefined;
      const all = [...(before?.values ?? []), ...values];
      items.set(sequence, { sequence, open: "open", changed: 0, segment: before?.segment ?? segment, saved: all.length, values: all });
    }
  },
  weight: ({ values, saved }) => 1 + values.length - saved,
};

/** What a store keeps of a log. */
class Kept {
  readonly segments = new Map<number, Buffer>();
  readonly weights = new Map<number, number>();

  async take({ added, dropped }: Awaited<ReturnType<ItemLog<Item>["barrier"]>>): Promise<number> {
    let bytes = 0;
    for (const segment of added) {
      const packed = await packSegment(segment);
      bytes += packed.length;
      this.segments.set(segment.number, packed);
      this.weights.set(segment.number, segment.weight);
    }
    for (const number of dropped) this.segments.delete(number);
    return bytes;
  }

  async *read(): AsyncGenerator<Segment> {
    for (const [number, bytes] of this.segments) {
      yield { number, weight: this.weights.get(number) ?? 0, blocks: await unpackSegment(bytes) };
    }
  }
}

/** A number from 0 to `below` - 1; the same row for the same seed (a linear congruence). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function shown(items: Iterable<Item>): readonly (readonly [number, string])[] {
  return [...items].map(({ sequence, values }) => [sequence, values.join()] as const).sort(([a], [b]) => a - b);
}

/** A log with items that are opened, changed and closed at random. */
class Play {
  readonly open = new Map<number, Item>();
  readonly log = new ItemLog(codec);
  readonly #random: (below: number) => number;
  #next = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.log.start();
  }

  get alive(): number {
    let weight = 0;
    for (const { values } of this.open.values()) weight += 1 + values.length;
    return weight;
  }

  begin(): void {
    const item: Item = { sequence: this.#next++, open: "open", ...UNSAVED, values: [] };
    this.open.set(item.sequence, item);
    this.log.touch(item);
    this.grow(item);
  }

  grow(item: Item): void {
    this.log.touch(item);
    item.values.push(`${item.sequence}-${item.values.length}-${"x".repeat(20 + this.#random(20))}`);
  }

  close(item: Item): void {
    this.log.remove(item);
    item.open = "closed";
    item.values = [];
    this.open.delete(item.sequence);
  }

  step(): void {
    const all = [...this.open.keys()];
    const item = this.open.get(all[this.#random(all.length)] ?? -1);
    const choice = this.#random(10);
    if (item === undefined || choice < 3) this.begin();
    else if (choice < 5) this.close(item);
    else if (choice === 5) {
      // As when two sessions become one: in another order.
      this.log.touch(item);
      item.saved = 0;
      item.values.reverse();
    } else this.grow(item);
  }
}

for (const seed of [1, 2, 3]) {
  test(`a log that is read again has the items as they were at its last barrier, whatever changed since (seed ${seed})`, async () => {
    const play = new Play(seed);
    const kept = new Kept();
    for (let index = 0; index < 6000; index++) play.begin();
    for (let period = 0; period < 20; period++) {
      for (let index = 0; index < 300; index++) play.step();
      await play.log.encoded;
      const expected = shown(play.open.values());
      const delta = play.log.barrier(play.alive);
      // While it is being encoded.
      for (let index = 0; index < 300; index++) play.step();
      await kept.take(await delta);
      const restored = await new ItemLog(codec).restore(kept.read());
      assert.deepEqual(shown(restored), expected);
      assert.deepEqual(
        restored.map(({ sequence }) => sequence),
        restored.map(({ sequence }) => sequence).toSorted((a, b) => a - b),
      );
    }
  });
}

test("a log that was restored goes on: what is saved then is whole as well", async () => {
  const play = new Play(7);
  const kept = new Kept();
  for (let index = 0; index < 6000; index++) play.begin();
  await kept.take(await play.log.barrier(play.alive));
  const second = new ItemLog(codec);
  const items = await second.restore(kept.read());
  second.start();
  for (const item of items.slice(0, 500)) {
    second.touch(item);
    item.values.push("more");
  }
  for (const item of items.slice(500, 900)) {
    second.remove(item);
    item.open = "closed";
  }
  await kept.take(await second.barrier(10_000));
  const expected = shown(items.filter(({ open }) => open === "open"));
  assert.deepEqual(shown(await new ItemLog(codec).restore(kept.read())), expected);
});

test("a checkpoint writes what changed, and the log stays below twice what is alive", async () => {
  const play = new Play(5);
  const kept = new Kept();
  for (let index = 0; index < 20_000; index++) play.begin();
  const first = await kept.take(await play.log.barrier(play.alive));
  const items = [...play.open.values()];
  let most = 0;
  for (let period = 0; period < 150; period++) {
    for (let index = 0; index < 200; index++) {
      const item = items[(period * 200 + index * 7) % items.length] as Item;
      play.log.touch(item);
      item.saved = 0;
      item.values = [`${period}-${"y".repeat(30)}`];
    }
    most = Math.max(most, await kept.take(await play.log.barrier(play.alive)));
  }
  const total = [...kept.segments.values()].reduce((sum, { length }) => sum + length, 0);
  assert.ok(most < first / 2, `a checkpoint of 1 % wrote ${most} bytes, the first of all ${first}`);
  assert.ok(total < first * 3, `${total} bytes are kept of a state of ${first}`);
});
