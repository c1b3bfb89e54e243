import assert from "node:assert/strict";
import { test } from "node:test";

import type { Event, Origin } from "../src/batch.ts";
import { NO_WATERMARK } from "../src/batch.ts";
import { ResultIds } from "../src/result-ids.ts";

const origin: Origin = { system: "kafka", name: "lines", partition: 3 };

function event(offset: number, key: string | undefined, time = 1000): Event {
  return { value: undefined, key, time, headers: undefined, origin, offset, watermark: NO_WATERMARK, size: 0 };
}

function idsOf(events: readonly Event[]): string[] {
  const ids = new ResultIds("words", "sink-0");
  return events.map((each) => ids.of(each));
}

test("all events of a record have ids of their own, in whatever order their keys come, and the same ones again", () => {
  const events = [
    ...["to", "be", "or", "not", "to", "be", undefined, "", undefined].map((key) => event(7, key)),
    ...["be", "to", "be"].map((key) => event(8, key)),
    ...[2000, 3000, 2000, Number.NaN, Number.NaN].map((time) => event(9, "a", time)),
  ];
  const ids = idsOf(events);
  assert.equal(new Set(ids).size, events.length, ids.join("\n"));
  assert.deepEqual(idsOf(events), ids);
  assert.deepEqual(idsOf(events.slice(9)), ids.slice(9));
});

test("records at the same place of another edition of an origin have ids of their own", () => {
  const editions = ["1", "2", undefined].map((edition) => ({ ...event(7, "a"), origin: { ...origin, ...(edition && { edition }) } }));
  assert.equal(new Set(idsOf(editions)).size, editions.length);
});

test("results that are written again keep their ids, alone or together, also behind those of later records", () => {
  const events = [...["a", "a", "b", "a"].map((key) => event(7, key)), event(8, "a"), event(9, "a"), event(9, "a")];
  const ids = new ResultIds("words", "sink-0");
  const first = events.map((each) => ids.of(each));
  assert.equal(new Set(first).size, events.length);
  assert.deepEqual(
    events.map((each) => ids.of(each)),
    first,
  );
  for (const index of [3, 1, 6, 4, 2]) assert.equal(ids.of(events[index] as Event), first[index]);
});

test("ids do not depend on where a run begins, if it begins with the first result of a record", () => {
  const events = [1, 2, 3, 3, 3, 4].map((offset) => event(offset, "a"));
  for (const begin of [1, 2, 5]) assert.deepEqual(idsOf(events.slice(begin)), idsOf(events).slice(begin));
});
