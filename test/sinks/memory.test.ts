import assert from "node:assert/strict";
import { test } from "node:test";

import { memorySink } from "../../src/sinks/memory.ts";
import { eventOf, openContext } from "../support/open-context.ts";

const never = new AbortController().signal;

test("all who open it share it, and what it has stays as it was", async (t) => {
  const spec = memorySink();
  const first = await spec.open(openContext(t));
  const second = await spec.open(openContext(t));
  const event = eventOf(1, 0);
  await first.write([event], never);
  event.value = 2;
  await second.write([event], never);
  assert.deepEqual(
    spec.events.map(({ value }) => value),
    [1, 2],
  );
});

test("more than it may keep is an error", async (t) => {
  const spec = memorySink({ maxEvents: 3 });
  const sink = await spec.open(openContext(t));
  await sink.write([eventOf(1, 0), eventOf(2, 1)], never);
  await assert.rejects(sink.write([eventOf(3, 2), eventOf(4, 3)], never), {
    message: "the memory sink is full: it keeps at most 3 events",
  });
  assert.equal(spec.events.length, 2);
});
