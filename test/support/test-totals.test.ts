import assert from "node:assert/strict";
import { test } from "node:test";

import { addTotals, readTotals, totalsText } from "./test-totals.ts";

const OUTPUT = `✔ a test that says ℹ tests 99 (1ms)
ℹ tests 3
ℹ suites 1
ℹ pass 2
ℹ fail 1
ℹ cancelled 0
ℹ skipped 0
ℹ todo 0
ℹ duration_ms 12.5

✖ failing tests:
`;

const TOTALS = { tests: 3, suites: 1, pass: 2, fail: 1, cancelled: 0, skipped: 0, todo: 0, duration_ms: 12.5 };

test("the runner's closing lines are read, coloured or not", () => {
  assert.deepEqual(readTotals(OUTPUT), TOTALS);
  assert.deepEqual(readTotals(OUTPUT.replaceAll(/^ℹ.*$/gm, (line) => `\u001B[34m${line}\u001B[39m`)), TOTALS);
});

test("a run without closing lines counts nothing", () => {
  assert.equal(readTotals("Error: no such file").tests, 0);
});

test("sums are written as the runner writes them", () => {
  assert.equal(totalsText(addTotals(TOTALS, TOTALS)).split("\n").slice(0, 4).join(" "), "ℹ tests 6 ℹ suites 2 ℹ pass 4 ℹ fail 2");
});
