import assert from "node:assert/strict";
import { test } from "node:test";

import { until } from "../support/until.ts";
import { CheckpointWatch, type Positions } from "./checkpoint-watch.ts";

/** A watch that sees one after the other, and the last for ever. */
async function watched(
  looks: readonly { readonly committed?: Positions; readonly saved: Positions | Error }[],
): Promise<readonly string[]> {
  let next = 0;
  const last = () => looks[Math.min(next, looks.length - 1)];
  const watch = new CheckpointWatch({
    committed: async () => last()?.committed ?? new Map(),
    saved: async () => {
      const saved = last()?.saved ?? new Map<string, number>();
      next += 1;
      if (saved instanceof Error) throw saved;
      return saved;
    },
  });
  await until("all was looked at", () => next > looks.length + 5);
  return await watch.end();
}

const at = (position: number): Positions => new Map([["in/0", position]]);

test("positions that rise, and are committed behind their saves, are right; a service that is away is no matter", async () => {
  const problems = await watched([
    { committed: at(5), saved: at(5) },
    { committed: at(5), saved: new Error("it is away") },
    { committed: at(5), saved: at(7) },
  ]);
  assert.deepEqual(problems, []);
});

test("a saved position that falls is told", async () => {
  assert.deepEqual(await watched([{ saved: at(7) }, { saved: at(5) }, { saved: at(9) }]), [
    "in/0: what was saved went back from position 7 to 5",
  ]);
});

test("a committed position that is not saved is told, and one of which nothing is saved", async () => {
  const [first] = await watched([{ committed: at(9), saved: at(7) }]);
  assert.equal(first, "in/0: position 9 is committed, and 7 is saved");
  const [other] = await watched([{ committed: new Map([["in/1", 2]]), saved: at(7) }]);
  assert.equal(other, "in/1: position 2 is committed, and none is saved");
});

test("a watch that never saw a checkpoint says so", async () => {
  await assert.rejects(watched([{ saved: new Map() }]), /no checkpoint was ever seen/);
});
