import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import type { CallOptions } from "millrace";
import { DataError, failed, from, InfrastructureError, ModelError, RetryableError } from "millrace";
import { advance, runPipeline } from "millrace/testing";

import { InputError } from "../../src/errors.ts";
import { mayPass, waitBefore } from "../../src/pipeline/retry.ts";
import { boxOf, sinkOf, sourceOf } from "./source-of.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, value) => ({ value }));

test("the wait before a retry is between half of the back-off and all of it, and as long as an error asks for", () => {
  const chance = (random: number) => () => random;
  assert.deepEqual([waitBefore(2, 3, [], chance(0)), waitBefore(2, 3, [], chance(1))], [4000, 8000]);
  const asks = new RetryableError("too many requests", { retryAfter: 9000 });
  assert.equal(waitBefore(2, 3, [new Error("other"), asks], chance(1)), 9000);
  assert.equal(waitBefore(2, 3, [new RetryableError("soon", { retryAfter: 10 })], chance(1)), 8000);
  assert.equal(waitBefore(0, 1, [new RetryableError("never", { retryAfter: Number.MAX_VALUE })], chance(1)), 3_600_000);
});

test("what a model can't take is not tried again, what it failed at is", () => {
  const model = { name: "digits", version: "1" };
  assert.equal(mayPass(new ModelError(model, new InputError("expected 784 numbers"))), false);
  assert.equal(mayPass(new ModelError(model, new Error("out of memory"))), true);
});

/** Runs one call whose attempts fail with these errors, by the number of the attempt. */
async function attempts(errors: readonly Error[], options: CallOptions) {
  let calls = 0;
  const plan = from(sourceOf<number>())
    .mapAsync(async (value) => {
      const error = errors[calls++];
      if (error !== undefined) throw error;
      return value;
    }, options)
    .deadLetter(boxOf())
    .to(sinkOf());
  const { values, letters } = await runPipeline(plan, [{ value: 7 }], { start: 1000 });
  return { calls, values, letters };
}

test("a data error is not tried again; other errors are, and the letter tells how often and when", async () => {
  const data = await attempts([new DataError("mapAsync", undefined, "never")], { retries: 3 });
  assert.deepEqual([data.calls, data.letters[0]?.attempts], [1, 1]);
  const passing = await attempts([new Error("once"), new InfrastructureError("twice")], { retries: 2, backoffFactor: 2 });
  assert.deepEqual([passing.calls, passing.values], [3, [7]]);
  const asking = [new RetryableError("busy", { retryAfter: 60_000 }), new Error("no"), new Error("no")];
  const { letters } = await attempts(asking, { retries: 2, backoffFactor: 2 });
  const [letter] = letters;
  assert.deepEqual([letter?.attempts, letter?.firstFailure, letter?.lastFailure], [3, 1000, 65_000]);
});

test("a deadline ends all attempts: one that is under way, and one that would begin behind it", async () => {
  const many = Array.from({ length: 9 }, () => new Error("no"));
  const waiting = await attempts(many, { retries: 8, backoffFactor: 1, deadline: "10s" });
  assert.deepEqual([waiting.calls, waiting.letters[0]?.error], [4, "Error"]);
  const plan = from(sourceOf<number>())
    .mapAsync(() => new Promise<number>(() => undefined), { deadline: "500ms", retries: 5 })
    .deadLetter(boxOf())
    .to(sinkOf());
  const { letters } = await runPipeline(plan, [{ value: 1 }]);
  assert.deepEqual(
    letters.map(({ error, attempts: count }) => [error, count]),
    [["CallTimeoutError", 1]],
  );
  assert.match(letters[0]?.message ?? "", /within the deadline of 500 ms/);
});

test("an error of the infrastructure that runs out keeps its class: the task backs off where the policy is to fail", async () => {
  const plan = from(sourceOf<number>())
    .mapAsync(async () => {
      throw new RetryableError("the model is away");
    })
    .deadLetter(boxOf())
    .onError({ InfrastructureError: "fail" })
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, [{ value: 1 }]), { name: "RetryableError", message: "the model is away" });
});

test("only the rows that a model calls failed are tried again, and those that never pass are left out", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 9 }),
      async (failures, rows) => {
        const tried = new Map<number, number>();
        const plan = from(sourceOf<number>())
          .infer(
            async (values) =>
              values.map((n) => {
                const count = (tried.get(n) ?? 0) + 1;
                tried.set(n, count);
                if (failures[n] === 4) return failed(new DataError("model", undefined, "never"));
                return count > (failures[n] ?? 0) ? n * 10 : failed(new Error(`try ${count}`));
              }),
            { retries: 2, backoffFactor: 0, batch: { maxSize: rows }, maxInFlight: 2 },
          )
          .deadLetter(boxOf())
          .onError("deadLetter", { breaker: "off" })
          .to(sinkOf());
        const { values, letters } = await runPipeline(plan, numbers(failures.length));
        const all = [...failures.keys()];
        assert.deepEqual(
          values,
          all.filter((n) => (failures[n] ?? 0) < 3).map((n) => n * 10),
        );
        assert.deepEqual(
          letters.map(({ offset, attempts: count }) => [offset, count]),
          all.filter((n) => (failures[n] ?? 0) >= 3).map((n) => [n, failures[n] === 4 ? 1 : 3]),
        );
        assert.ok(all.every((n) => tried.get(n) === [1, 2, 3, 3, 1][failures[n] ?? 0]));
      },
    ),
  );
});

/** A model that throws on a call with one of these numbers. */
function throwingOn(bad: readonly number[]) {
  const calls: number[] = [];
  const model = async (values: readonly number[]) => {
    calls.push(values.length);
    const found = values.find((value) => bad.includes(value));
    if (found !== undefined) throw new RangeError(`${found} is bad`);
    return values.map((value) => value + 1);
  };
  return { calls, model };
}

test("a call that fails as a whole is halved until the events at fault are found", async () => {
  const { calls, model } = throwingOn([5, 200]);
  const plan = from(sourceOf<number>())
    .infer(model, { batch: { maxSize: 256 } })
    .deadLetter(boxOf())
    .to(sinkOf());
  const { values, letters } = await runPipeline(plan, numbers(256));
  assert.deepEqual(
    letters.map(({ offset, message, attempts: count }) => [offset, message, count]),
    // Each was in the call as a whole, and in those of its halves.
    [
      [5, "5 is bad", 9],
      [200, "200 is bad", 9],
    ],
  );
  assert.equal(values.length, 254);
  assert.ok(calls.length <= 1 + 2 * 2 * 8, `${calls.length} calls`);
});

test("without a policy the error names the event at fault all the same, and what came before it is done", async () => {
  const { calls, model } = throwingOn([77, 200]);
  const seen: number[] = [];
  const plan = from(sourceOf<number>())
    .infer(model)
    .tap((value) => seen.push(value))
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, numbers(256)), (error) => error instanceof DataError && error.place?.offset === 77);
  assert.equal(seen.length, 77);
  assert.ok(calls.length <= 1 + 2 * 8, `${calls.length} calls`);
});

test("a model that gives another number of rows has a bug, which no event is looked for", async () => {
  let calls = 0;
  const plan = from(sourceOf<number>())
    .infer(async (values) => {
      calls += 1;
      return values.slice(1);
    })
    .onError("skip")
    .to(sinkOf());
  const { counters } = await runPipeline(plan, [...numbers(8), advance("1s")]);
  assert.deepEqual([calls, counters.skipped], [1, 8]);
});
