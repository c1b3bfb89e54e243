import assert from "node:assert/strict";
import { test } from "node:test";

import { BREAKAGES, FOUND_BY, simulateBroken } from "./broken-builds.ts";

const USUAL = { first: 1, count: 200 };

for (const [name, changes] of Object.entries(BREAKAGES)) {
  test(`the simulation finds a build where ${name}`, async (t) => {
    const { code, output } = await simulateBroken(t, changes, FOUND_BY[name] ?? USUAL);
    assert.equal(code, 1, output);
    assert.match(output, /^seed \d+ breaks a promise/, "it must end for a broken promise, and for nothing else");
  });
}
