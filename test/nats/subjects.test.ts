import assert from "node:assert/strict";
import { test } from "node:test";

import { asName, covers, FILTER_FORM, NAME_FORM } from "../../src/nats/subjects.ts";

test("any text gives the name of a consumer", () => {
  assert.equal(asName("millrace-a.b/c d*>"), "millrace-a_b_c_d__");
  assert.match(asName("a.b"), NAME_FORM);
  assert.match("a.*.>", FILTER_FORM);
  assert.doesNotMatch("a..b", FILTER_FORM);
});

test("a pattern covers the subjects that NATS takes for its own", () => {
  const covered = (pattern: string) => ["a", "a.b", "a.c", "a.b.c"].filter((subject) => covers(pattern, subject));
  assert.deepEqual(covered("a.b"), ["a.b"]);
  assert.deepEqual(covered("a.*"), ["a.b", "a.c"]);
  assert.deepEqual(covered("a.>"), ["a.b", "a.c", "a.b.c"]);
  assert.deepEqual(covered("*.*.c"), ["a.b.c"]);
});
