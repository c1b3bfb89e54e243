import assert from "node:assert/strict";
import { test } from "node:test";

import type { Batch, Event } from "../../../src/batch.ts";
import { NO_WATERMARK } from "../../../src/batch.ts";
import type { RunContext } from "../../../src/contracts.ts";
import { deduplicatePlan } from "../../../src/pipeline/deduplicate/deduplicate-options.ts";
import { deduplicateStep } from "../../../src/pipeline/deduplicate/deduplicate-step.ts";
import type { SavedStep, StepDelta } from "../../../src/pipeline/state/step-state.ts";
import { StateBarrier, StepState } from "../../../src/pipeline/state/step-state.ts";

/** So many that they are not encoded before the next batch comes. */
const MANY = 200_000;

const origin = { system: "memory", name: "test", partition: undefined };

function batchOf(first: number, length: number): Batch {
  const events = Array.from({ length }, (_, index): Event => {
    const offset = first + index;
    return { value: offset, key: undefined, time: 0, headers: undefined, origin, offset, watermark: NO_WATERMARK, size: 0 };
  });
  return { events, position: first + length, watermark: NO_WATERMARK };
}

/** What a step with that memory lets through of each batch. */
async function through(batches: readonly Batch[], memory: StepState): Promise<number[]> {
  const step = deduplicateStep(deduplicatePlan("once", (value) => value, { count: MANY }));
  const counters = { deduplicated: 0 };
  const input = async function* () {
    yield* batches;
  };
  const passed: number[] = [];
  for await (const batch of step(input(), { counters, memory } as unknown as RunContext)) passed.push(batch.events.length);
  return passed;
}

function savedOf({ value, log }: StepDelta): SavedStep {
  const segments = async function* () {
    yield* log.added;
  };
  return { value, segments: segments() };
}

test("a checkpoint has the ids as of its barrier, whatever is forgotten before they are encoded", async () => {
  const barrier = new StateBarrier(1);
  const marked: Batch = { events: [], position: MANY, watermark: NO_WATERMARK, barrier };
  const before = await through([batchOf(0, MANY), marked, batchOf(MANY, 5000)], new StepState("once", undefined));
  assert.deepEqual(before, [MANY, 0, 5000]);
  const delta = await barrier.parts.get("once");
  assert.ok(delta !== undefined);
  const after = await through([batchOf(0, MANY), batchOf(MANY, 5000), batchOf(0, 5000)], new StepState("once", savedOf(delta)));
  assert.deepEqual(after, [0, 5000, 5000]);
});
