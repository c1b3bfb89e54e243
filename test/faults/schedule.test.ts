import assert from "node:assert/strict";
import { test } from "node:test";

import { planFaults } from "./schedule.ts";

const KINDS = ["a", "b", "c", "d"].map((name) => ({ name, shortest: 1000, longest: 3000 }));

test("the same seed plans the same, another seed something else", () => {
  assert.deepEqual(planFaults(7, 60_000, KINDS), planFaults(7, 60_000, KINDS));
  assert.notDeepEqual(planFaults(7, 60_000, KINDS), planFaults(8, 60_000, KINDS));
});

test("every kind comes once before any comes again, for as long as was asked", () => {
  const planned = planFaults(1, 60_000, KINDS);
  for (let first = 0; first + 4 <= planned.length; first += 4) {
    assert.deepEqual(new Set(planned.slice(first, first + 4).map(({ fault }) => fault)).size, 4);
  }
  const length = planned.reduce((sum, { after, lasts }) => sum + after + lasts, 0);
  assert.ok(length >= 60_000 && length < 68_000);
  assert.ok(planned.every(({ lasts }) => lasts >= 1000 && lasts <= 3000));
});

test("without kinds nothing is planned", () => {
  assert.deepEqual(planFaults(1, 60_000, []), []);
});
