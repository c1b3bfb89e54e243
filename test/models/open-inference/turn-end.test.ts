import assert from "node:assert/strict";
import { test } from "node:test";

import { atTurnEnd } from "../../../src/models/open-inference/turn-end.ts";

test("what is given in one turn of the event loop is called together, in order, and before the next turn", async () => {
  const called: string[] = [];
  atTurnEnd(() => called.push("a"));
  await Promise.resolve();
  atTurnEnd(() => {
    called.push("b");
    atTurnEnd(() => called.push("c"));
  });
  assert.deepEqual(called, []);
  await new Promise(setImmediate);
  assert.deepEqual(called, ["a", "b"]);
  await new Promise(setImmediate);
  assert.deepEqual(called, ["a", "b", "c"]);
});
