import assert from "node:assert/strict";
import { test } from "node:test";

import type { ErrorOptions } from "millrace";
import { FloodError, from } from "millrace";
import { advance, runPipeline } from "millrace/testing";

import { boxOf, sinkOf, sourceOf } from "./source-of.ts";

function refusing(isBad: (value: number) => boolean, options: ErrorOptions = {}) {
  return from(sourceOf<number>())
    .map((value) => {
      if (isBad(value)) throw new RangeError(`${value} is bad`);
      return value;
    })
    .deadLetter(boxOf())
    .onError("deadLetter", options)
    .to(sinkOf());
}

const numbers = (count: number) => Array.from({ length: count }, (_, value) => ({ value }));

test("a task whose events nearly all fail pauses at one of them, and says so", async () => {
  for (const batchSize of [1, 50, 1000]) {
    await assert.rejects(
      runPipeline(
        refusing(() => true),
        numbers(1000),
        { batchSize },
      ),
      (error) => {
        assert.ok(error instanceof FloodError);
        assert.match(
          error.message,
          /^paused: \d+ of the \d+ events of the last 30 s failed, the last one at step "map": \d+ is bad\. Nothing was committed past it/,
        );
        return true;
      },
    );
  }
});

test("half of the events may fail, and any share of fewer than a hundred, and any number over a longer time", async () => {
  const half = await runPipeline(
    refusing((value) => value % 2 === 1),
    numbers(1000),
    { batchSize: 100 },
  );
  assert.deepEqual([half.counters.deadLettered, half.counters.out], [500, 500]);
  const few = await runPipeline(
    refusing(() => true),
    numbers(99),
  );
  assert.equal(few.counters.deadLettered, 99);
  const slow = numbers(300).flatMap((event, index) => (index % 90 === 89 ? [event, advance("31s")] : [event]));
  assert.equal(
    (
      await runPipeline(
        refusing(() => true),
        slow,
      )
    ).counters.deadLettered,
    300,
  );
});

test("its limits can be set, and it can be switched off", async () => {
  const off = await runPipeline(
    refusing(() => true, { breaker: "off" }),
    numbers(500),
  );
  assert.equal(off.counters.deadLettered, 500);
  const strict = { breaker: { events: 3, share: 0.1, within: "5s" } };
  await assert.rejects(
    runPipeline(
      refusing((value) => value % 5 === 4, strict),
      numbers(20),
    ),
    FloodError,
  );
});
