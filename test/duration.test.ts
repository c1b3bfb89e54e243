import assert from "node:assert/strict";
import { test } from "node:test";

import { parseDuration } from "../src/duration.ts";

test("a duration is milliseconds, or a number with a unit", () => {
  const durations = { "500ms": 500, "10s": 10_000, "1.5m": 90_000, "1h": 3_600_000, " 7d ": 604_800_000, "2 s": 2000, "0s": 0 };
  for (const [text, ms] of Object.entries(durations)) assert.equal(parseDuration(text), ms, text);
  assert.equal(parseDuration(250), 250);
});

test("nothing else is one", () => {
  const wrong = ["", "10", "s", "10 fortnights", "-1s", "1e3s", `${"9".repeat(400)}s`, -1, Number.NaN, Number.POSITIVE_INFINITY, null, {}];
  for (const given of wrong) assert.equal(parseDuration(given), undefined, JSON.stringify(given));
});
