import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { DeduplicateOptions, Plan } from "millrace";
import { from, sum, tumbling } from "millrace";

import type { Event } from "../../../src/batch.ts";
import { MemoryCheckpoints } from "../../support/memory-checkpoints.ts";
import { sinkOf, sourceOf } from "../source-of.ts";
import type { Attempt, Given } from "../state/restarted.ts";
import { restarted } from "../state/restarted.ts";

interface Item {
  readonly id: string;
  readonly time: number;
}

const optionsOf: Readonly<Record<string, DeduplicateOptions>> = {
  "within a time": { within: 90 },
  "among the last ids": { count: 3 },
  "both, per key": { within: 90, count: 3, per: "key" },
};

const planOf = (options: DeduplicateOptions, outOfOrderness = 40): Plan =>
  from(sourceOf<Item>())
    .timeBy(({ time }) => time, { outOfOrderness })
    .deduplicate(({ id }) => id, options)
    .to(sinkOf());

/** What the sink has when it drops what it has already: by the place from which a result was made. */
function withoutRepeats(results: readonly Event[]): Event[] {
  return [...new Map(results.map((event) => [event.offset, event])).values()].toSorted((a, b) => a.offset - b.offset);
}

const shown = (events: readonly Event[]) => events.map(({ value, offset, time }) => JSON.stringify([value, offset, time]));

const input = fc.array(
  fc.record({ id: fc.constantFrom("a", "b", "c", "d", "e", "f"), key: fc.constantFrom("k", "l"), time: fc.integer({ min: 0, max: 400 }) }),
  { minLength: 1, maxLength: 120 },
);
const attempts = fc.array(
  fc.record({
    events: fc.integer({ min: 0, max: 40 }),
    ending: fc.constantFrom("crash", "stop"),
    batchSize: fc.integer({ min: 1, max: 12 }),
  }) as fc.Arbitrary<Attempt>,
  { maxLength: 6 },
);

for (const [name, options] of Object.entries(optionsOf)) {
  test(`${name}: after crashes and stops no id has gone through again within the bound, and none is missing`, async () => {
    await fc.assert(
      fc.asyncProperty(input, attempts, fc.constantFrom(0, 1, 3), async (given, runs, interval) => {
        const events: Given[] = given.map((value) => ({ value, key: value.key }));
        const plan = planOf(options);
        const clean = await restarted(plan, events, [], {});
        const store = new MemoryCheckpoints();
        const faulted = await restarted(plan, events, runs, { store, interval });
        assert.deepEqual(shown(withoutRepeats(faulted.results)), shown(clean.results));
        if (runs.every(({ ending }) => ending === "stop")) assert.deepEqual(shown(faulted.results), shown(clean.results));
        // Finished: nothing is kept.
        for (const { manifest, parts } of store.entries.values()) assert.deepEqual([manifest, parts.size], [undefined, 0]);
      }),
      { numRuns: 100 },
    );
  });
}

test("a window behind it counts each id once, whatever ends meanwhile", async () => {
  const plan = from(sourceOf<Item>())
    .timeBy(({ time }) => time, { outOfOrderness: 40 })
    .deduplicate(({ id }) => id, { within: 90 })
    .window(tumbling(50), { per: "all", fold: { total: sum(({ id }: Item) => id.charCodeAt(0)) } })
    .to(sinkOf());
  await fc.assert(
    fc.asyncProperty(input, attempts, fc.constantFrom(0, 1, 3), async (given, runs, interval) => {
      const events: Given[] = given.map((value) => ({ value, key: value.key }));
      const clean = await restarted(plan, events, [], {});
      const faulted = await restarted(plan, events, runs, { store: new MemoryCheckpoints(), interval });
      assert.deepEqual(new Set(shown(faulted.results)), new Set(shown(clean.results)));
    }),
    { numRuns: 60 },
  );
});

/** 0 to 2³² - 1, the same for the same seed. */
function chance(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0);
}

/** Text of 40 characters in which nothing comes again, so that it does not become small when it is saved. */
function randomText(next: () => number): string {
  return Array.from({ length: 5 }, () => next().toString(16).padStart(8, "0")).join("");
}

/** Events whose ids come again after up to `farthest` events, by chance. */
function manyItems(seed: number, events: number, farthest: number): Given[] {
  const next = chance(seed);
  const all: Item[] = [];
  for (let n = 0; n < events; n++) {
    const before = next() % 3 === 0 ? all[n - 1 - (next() % farthest)] : undefined;
    const id = before === undefined ? randomText(next) : before.id;
    all.push({ id, time: n - (next() % 100) });
  }
  return all.map((value) => ({ value }));
}

for (const [name, options] of Object.entries({ "a time": { within: 9000 }, "a count": { count: 6000 } })) {
  test(`many ids, of which each checkpoint writes what is new, bound by ${name}`, async () => {
    const chances = chance(42);
    const events = manyItems(7, 16_000, 12_000);
    const plan = planOf(options, 100);
    const clean = await restarted(plan, events, [], {});
    const runs = Array.from({ length: 10 }, (): Attempt => {
      return { events: 500 + (chances() % 2500), ending: chances() % 2 === 0 ? "crash" : "stop", batchSize: 1 + (chances() % 300) };
    });
    const store = new MemoryCheckpoints();
    const faulted = await restarted(plan, events, runs, { store, interval: 0 });
    assert.ok(clean.results.length > 10_000 && clean.results.length < 14_000, `${clean.results.length} went through`);
    assert.deepEqual(shown(withoutRepeats(faulted.results)), shown(clean.results));
    // Starting anew from where a run had come to, with ids that are known already.
    assert.ok(faulted.starts.filter((start) => start !== undefined && start > 0).length > 5);
    const written = store.saves.map(({ bytes }) => bytes).toSorted((a, b) => a - b);
    const median = written[written.length >> 1] as number;
    // All ids would be 6,000 of 20 bytes each.
    assert.ok(median < 24_000, `a checkpoint writes ${median} bytes most often`);
  });
}

test("what is remembered stays when the time or count is another, and is refused where it does not fit", async () => {
  const events: Given[] = ["a", "b", "c", "d", "a", "b", "c", "d"].map((id, time) => ({ value: { id, time } satisfies Item }));
  const offsets = async (first: DeduplicateOptions, then: DeduplicateOptions) => {
    const runs: Attempt[] = [{ events: 4, ending: "stop", batchSize: 4 }];
    const { results } = await restarted(planOf(first), events, runs, { store: new MemoryCheckpoints(), lastPlan: planOf(then) });
    return results.map(({ offset }) => offset);
  };
  assert.deepEqual(await offsets({ count: 10 }, { count: 2 }), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(await offsets({ count: 2 }, { count: 20 }), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(await offsets({ within: 1000 }, { within: 2000 }), [0, 1, 2, 3]);
  await assert.rejects(
    offsets({ count: 10 }, { within: 1000 }),
    /the saved state of the step "deduplicate" does not fit: it was ids seen, and is now ids seen with their times/,
  );
});
