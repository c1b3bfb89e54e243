import assert from "node:assert/strict";
import { test } from "node:test";

import { noModelStats } from "../../../src/model-stats.ts";
import type { ModelAnswer } from "../../../src/model.ts";
import type { BatchTarget } from "../../../src/models/batcher.ts";
import { Batcher } from "../../../src/models/batcher.ts";
import { VirtualClock } from "../../../src/virtual-clock.ts";
import { ask, callerOf, IDENTITY } from "./target.ts";

/** A model that takes 4 ms for a call and 0.02 ms for each row: mostly it is calls that cost, else nobody would join them. */
class Timed implements BatchTarget {
  readonly identity = IDENTITY;
  readonly stats = noModelStats();
  readonly capacity = 1;
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  send(rows: readonly unknown[]): Promise<ModelAnswer> {
    return new Promise((resolve) => {
      this.#clock.after(4 + rows.length * 0.02, () => resolve({ outputs: rows, identity: IDENTITY }));
    });
  }
}

/** p99 in milliseconds of one who asks with a row every 37 ms, beside so many floods of calls of `rows` rows. */
async function p99(floods: number, rows: number): Promise<number> {
  const clock = new VirtualClock();
  const batcher = new Batcher(new Timed(clock), clock);
  const end = new AbortController();
  const flood = async (index: number) => {
    const caller = callerOf(batcher, { name: `flood ${index}`, maxInFlight: 64 }, { maxSize: 64, maxQueuedRows: 100_000 });
    const inputs = Array.from({ length: rows }, (_, row) => row);
    const one = async () => {
      while (!end.signal.aborted) await ask(caller, inputs);
    };
    await Promise.all(Array.from({ length: 64 }, one));
  };
  const running = Array.from({ length: floods }, (_, index) => flood(index));
  // Until each of them has had its turn they are as new as it is.
  await clock.advance(100);
  const seldom = callerOf(batcher, { name: "seldom" }, { maxSize: 64 });
  const times: number[] = [];
  for (let n = 0; n < 100; n++) {
    const begin = clock.elapsed();
    void ask(seldom, [n]).then(() => times.push(clock.elapsed() - begin));
    await clock.advance(37);
  }
  end.abort();
  await clock.advance(10_000);
  await Promise.all(running);
  assert.equal(times.length, 100);
  return times.toSorted((a, b) => a - b)[98] as number;
}

test("one that asks seldom is answered within three times its time alone, however many rows others send", async () => {
  const alone = await p99(0, 0);
  for (const [floods, rows] of [
    [1, 64],
    [4, 64],
    [9, 64],
    [4, 1],
  ] as const) {
    const beside = await p99(floods, rows);
    assert(beside <= 3 * alone, `${beside} ms beside ${floods} floods of ${rows} rows, ${alone} ms alone`);
  }
});
