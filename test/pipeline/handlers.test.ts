import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { Batch, ErrorHandler, Event, Failure, Stream } from "millrace";
import { DataError, from, NO_WATERMARK, PlanError, tumbling } from "millrace";
import { runPipeline } from "millrace/testing";

import type { WaitingFailure } from "../../src/pipeline/failure-queue.ts";
import { FailureQueue, inlet } from "../../src/pipeline/failure-queue.ts";
import { boxOf, sinkOf, sourceOf } from "./source-of.ts";

function odd(value: number): number {
  if (value % 2 === 1) throw new RangeError(`${value} is odd`);
  return value;
}

const numbers = (count: number) => Array.from({ length: count }, (_, value) => ({ value }));

test("a handler gets the event, the error and the step that raised it, also across concurrent steps", async () => {
  const seen: Pick<Failure, "step" | "attempts">[] = [];
  const handle: ErrorHandler = ({ step, attempts, event, error }) => {
    seen.push({ step, attempts });
    assert.ok(error instanceof Error && event.offset >= 0);
    return "skip";
  };
  const failing = (name: string, at: number) => (value: number) => {
    if (value === at) throw new Error(name);
    return value;
  };
  const plan = from(sourceOf<number>())
    .mapAsync(async (value) => failing("outer", 1)(value), { name: "outer", maxInFlight: 3, retries: 2, backoffFactor: 0 })
    .map(failing("inner", 2), { name: "inner" })
    .infer(async (values) => values.map(failing("model", 4)), { name: "model", maxInFlight: 2, batch: { maxSize: 1 } })
    .onError(handle)
    .to(sinkOf());
  const { values, counters, position } = await runPipeline(plan, numbers(6), { batchSize: 2 });
  assert.deepEqual(values, [0, 3, 5]);
  assert.deepEqual(
    seen.toSorted((a, b) => a.step.localeCompare(b.step)),
    [
      { step: "inner", attempts: 1 },
      { step: "model", attempts: 1 },
      { step: "outer", attempts: 3 },
    ],
  );
  assert.deepEqual([counters.skipped, position], [3, 6]);
});

test("values that a handler gives go on in their places, before the position of their batch is done", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 4 }),
      async (count, batchSize, maxInFlight) => {
        const handle: ErrorHandler = async ({ event }) => {
          for (let turn = Number(event.value) % 3; turn < 3; turn++) await Promise.resolve();
          return { value: Number(event.value) * 10 };
        };
        const plan = from(sourceOf<number>())
          .map(odd, { onError: { handle, into: "last" } })
          .mapAsync(async (value) => value + 1, { maxInFlight })
          .map((value) => value, { name: "last" })
          .to(sinkOf());
        const { values, position } = await runPipeline(plan, numbers(count), { batchSize });
        assert.deepEqual(
          values,
          numbers(count).map(({ value }) => (value % 2 === 1 ? value * 10 : value + 1)),
        );
        assert.equal(position, count);
      },
    ),
  );
});

test("steps can be the handler, and their values go on behind the step that failed", async () => {
  const repaired = (failures: Stream<Failure>) =>
    failures.filter(({ event }) => event.value !== 3).mapAsync(async ({ event, step }) => `${step} ${Number(event.value)}`);
  const plan = from(sourceOf<number>())
    .map(odd, { onError: { steps: repaired } })
    .map(String)
    .to(sinkOf());
  const { values, counters } = await runPipeline(plan, numbers(6), { batchSize: 4 });
  assert.deepEqual(values, ["0", "map 1", "2", "4", "map 5"]);
  assert.deepEqual([counters.filtered, counters.skipped], [1, 0]);
});

test("a handler that throws, or says nothing that is known, leaves its event to the dead letters or ends the task there", async () => {
  const answers = [
    () => {
      throw new Error("the handler broke");
    },
    () => "ignore" as "skip",
  ];
  for (const handle of answers) {
    const stream = from(sourceOf<number>()).map(odd, { onError: { handle } });
    const { values, letters } = await runPipeline(stream.deadLetter(boxOf()).to(sinkOf()), numbers(4));
    assert.deepEqual(values, [0, 2]);
    assert.deepEqual(
      letters.map(({ offset, step }) => [offset, step]),
      [
        [1, "map"],
        [3, "map"],
      ],
    );
    assert.match(letters[0]?.message ?? "", /the handler broke|must return/);
    await assert.rejects(runPipeline(stream.to(sinkOf()), numbers(4)), (error) => error instanceof DataError && error.place?.offset === 1);
  }
});

test("an event that was put back behind a timeBy is not late, and opens no window that is closed", async () => {
  const handle: ErrorHandler = ({ event }) => ({ value: Math.abs(Number(event.value)) });
  const plan = from(sourceOf<number>())
    .map(
      (value) => {
        if (value < 0) throw new RangeError("negative");
        return value;
      },
      { onError: { handle } },
    )
    .timeBy((value) => value)
    .window(tumbling(10), { per: "all" })
    .map(({ start, values }) => ({ start, values }))
    .to(sinkOf());
  const input = [1, -3, 12, -15, 21].map((value) => ({ value }));
  const { values } = await runPipeline(plan, input, { batchSize: 2 });
  assert.deepEqual(values, [
    { start: 0, values: [1, 3] },
    { start: 10, values: [12, 15] },
    { start: 20, values: [21] },
  ]);
});

test("a handler's place and steps are checked with the plan", () => {
  const stream = from(sourceOf<number>()).map(odd, { name: "first" });
  const fails = (build: () => unknown, message: RegExp) =>
    assert.throws(build, (error) => error instanceof PlanError && message.test(error.message));
  const handle = () => "skip" as const;
  fails(
    () => stream.map(odd, { onError: { handle, into: "first" } }).to(sinkOf()),
    /step "map": onError.into must name a later step \(got "first"\)/,
  );
  fails(
    () => stream.onError(handle, { into: "nowhere" }).to(sinkOf()),
    /the pipeline: onError.into must name a later step .* there are first/,
  );
  fails(() => stream.onError({ handle: "skip" as never }), /must be functions/);
  fails(() => stream.map(odd, { onError: { steps: (failures) => failures.batch({ size: 2 }) } }), /can't keep state or time, as batch/);
  fails(() => stream.map(odd, { onError: { steps: () => undefined as never } }), /must return the stream/);
});

test("a barrier passes behind what failed before it, and before what failed after it", async () => {
  const queue = new FailureQueue();
  const event = (offset: number): Event => ({
    value: offset,
    key: undefined,
    time: Number.NaN,
    headers: undefined,
    origin: { system: "memory", name: "test", partition: undefined },
    offset,
    watermark: NO_WATERMARK,
    size: 0,
  });
  for (const offset of [2, 7, 5]) queue.add({ step: "map", event: event(offset), error: new Error("no"), tries: undefined });
  const plain = { watermark: NO_WATERMARK };
  // Something between holds the position back, as an open window does.
  async function* input(): AsyncGenerator<Batch> {
    yield { ...plain, events: [event(0), event(1)], position: 2 };
    yield { ...plain, events: [], position: 2, barrier: { number: 1 } };
    yield { ...plain, events: [event(8)], position: 9 };
  }
  const given: string[] = [];
  const handle = async (failures: readonly WaitingFailure[]) => ({ events: failures.map((failure) => failure.event) });
  for await (const { events, position, barrier } of inlet(input(), queue, handle, () => 6)) {
    given.push(`${events.map(({ offset }) => offset).join()} to ${position}${barrier === undefined ? "" : " barrier"}`);
  }
  assert.deepEqual(given, ["0,1 to 2", "2,5 to 2", " to 2 barrier", "7,8 to 9"]);
});
