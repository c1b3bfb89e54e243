import assert from "node:assert/strict";
import { test } from "node:test";

import type { CallOptions, Event } from "millrace";
import { DataError, from } from "millrace";
import { advance, runPipeline } from "millrace/testing";

import { sinkOf, sourceOf } from "./source-of.ts";

const numbers = (...values: number[]) => values.map((value) => ({ value }));
const upTo = (n: number) => Array.from({ length: n }, (_, index) => index);

/** Fails the first `failures` calls, then multiplies by ten. */
async function attempts(failures: number, options: Pick<CallOptions, "retries" | "backoffFactor">) {
  const context = { calls: 0 };
  const plan = from(sourceOf<number>())
    .mapAsync(async (n) => {
      context.calls += 1;
      if (context.calls <= failures) throw new Error(`fail${context.calls}`);
      return n * 10;
    }, options)
    .to(sinkOf());
  const result = await runPipeline<number>(plan, numbers(7)).then(
    (run) => run.values,
    (error: DataError) => error.message,
  );
  return { result, calls: context.calls };
}

test("retries are extra attempts; without any the first failure ends the pipeline at its event", async () => {
  assert.deepEqual(await attempts(1, {}), { result: 'step "mapAsync" at memory test/0@0: fail1', calls: 1 });
  assert.deepEqual(await attempts(5, { retries: 3 }), { result: 'step "mapAsync" at memory test/0@0: fail4', calls: 4 });
  assert.deepEqual(await attempts(2, { retries: 2, backoffFactor: 0.5 }), { result: [70], calls: 3 });
  assert.deepEqual(await attempts(2, { retries: 2, backoffFactor: 0 }), { result: [70], calls: 3 });
});

test("results come in input order, though later calls end first", async () => {
  const release = new Map<number, () => void>();
  const plan = from(sourceOf<number>())
    .mapAsync((n) => new Promise<number>((resolve) => void release.set(n, () => resolve(n))), { maxInFlight: 4 })
    .tap((n) => void emitted.push(n))
    .to(sinkOf());
  const emitted: number[] = [];
  const running = runPipeline(plan, numbers(...upTo(6)));
  await until(() => release.size === 4);
  for (const n of [3, 2, 1]) release.get(n)?.();
  await new Promise(setImmediate);
  assert.deepEqual(emitted, []);
  assert.equal(release.size, 4, "a call that is done keeps its place until its result has gone on");
  release.get(0)?.();
  await until(() => release.size === 6);
  for (const n of [5, 4]) release.get(n)?.();
  await running;
  assert.deepEqual(emitted, upTo(6));
});

for (const maxInFlight of [1, 2, 3, 8]) {
  test(`exactly ${maxInFlight} calls are under way when there is enough to do`, async () => {
    let now = 0;
    let most = 0;
    const plan = from(sourceOf<number>())
      .mapAsync(
        async (n) => {
          most = Math.max(most, ++now);
          await new Promise(setImmediate);
          now -= 1;
          return n;
        },
        { maxInFlight },
      )
      .to(sinkOf());
    const run = await runPipeline(plan, numbers(...upTo(40)), { batchSize: 3 });
    assert.equal(most, maxInFlight);
    assert.deepEqual(run.values, upTo(40));
  });
}

test("what was done before a failure is delivered and committed, what comes after is not", async () => {
  const received: unknown[] = [];
  const plan = from(sourceOf<number>())
    .mapAsync(async (n) => {
      if (n === 3) throw new Error("boom");
      return n;
    })
    .tap((n) => void received.push(n))
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, numbers(...upTo(8)), { batchSize: 2 }), (error) => {
    assert.ok(error instanceof DataError);
    assert.equal(error.step, "mapAsync");
    assert.equal(error.place?.offset, 3);
    return true;
  });
  assert.deepEqual(received, [0, 1, 2]);
});

test("an attempt that takes longer than the timeout counts as failed, and its late result is ignored", async () => {
  let calls = 0;
  const plan = from(sourceOf<number>())
    .mapAsync(
      (n) => {
        calls += 1;
        return calls === 1 ? new Promise<number>(() => undefined) : Promise.resolve(n);
      },
      { timeout: "2s", retries: 1, backoffFactor: 1 },
    )
    .to(sinkOf());
  const run = await runPipeline(plan, [{ value: 1 }, advance("3s")]);
  assert.deepEqual(run.values, [1]);
  assert.equal(run.counters.retried, 1);
});

test("a timeout in every attempt says so, and aborts the call's signal", async () => {
  let aborted = 0;
  const plan = from(sourceOf<number>())
    .mapAsync(
      (_n, { signal }) => {
        signal.addEventListener("abort", () => (aborted += 1));
        return new Promise<number>(() => undefined);
      },
      { timeout: "2s", passContext: true },
    )
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, [{ value: 1 }, advance("3s")]), {
    name: "CallTimeoutError",
    message: 'step "mapAsync": no answer within 2000 ms',
  });
  assert.equal(aborted, 1);
});

test("passContext gives the context, fullEvent gives and takes events", async () => {
  const context = from(sourceOf<number>())
    .mapAsync(async (n, { task, step, attempt }) => `${n} ${task.id} ${step} ${attempt}`, { passContext: true, name: "enrich" })
    .to(sinkOf());
  assert.deepEqual((await runPipeline(context, numbers(1, 2))).values, ["1 test enrich 1", "2 test enrich 1"]);

  const events = from(sourceOf<number>())
    .mapAsync(async (event: Event<number>) => ({ ...event, value: event.value + 1, key: `k${event.value}` }), { fullEvent: true })
    .to(sinkOf());
  const run = await runPipeline(events, numbers(1, 2));
  assert.deepEqual(
    run.sinks[0]?.map(({ key, value }) => [key, value]),
    [
      ["k1", 2],
      ["k2", 3],
    ],
  );
});

test("infer gives neighbouring events in one call, of at most batch.maxSize rows, and keeps their order", async () => {
  const calls: number[] = [];
  const plan = from(sourceOf<number>())
    .infer(
      async (inputs) => {
        calls.push(inputs.length);
        return inputs.map((n) => n * 2);
      },
      { batch: { maxSize: 4 } },
    )
    .to(sinkOf());
  const run = await runPipeline(plan, numbers(...upTo(10)));
  assert.deepEqual(calls, [4, 4, 2]);
  assert.deepEqual(
    run.values,
    upTo(10).map((n) => n * 2),
  );
});

test("a model that answers with another number of rows is told so, and nothing of its answer goes on", async () => {
  const plan = from(sourceOf<number>())
    .infer(async (inputs) => inputs.slice(1))
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, numbers(1, 2, 3)), {
    name: "DataError",
    message: 'step "infer" at memory test/0@0: the model returned 2 results for 3 inputs',
  });
});

test("infer tries the whole call again", async () => {
  let calls = 0;
  const plan = from(sourceOf<number>())
    .infer(
      async (inputs) => {
        calls += 1;
        if (calls < 3) throw new Error("busy");
        return inputs.map((n) => n + calls);
      },
      { retries: 2 },
    )
    .to(sinkOf());
  const run = await runPipeline(plan, numbers(1, 2, 3));
  assert.deepEqual(run.values, [4, 5, 6]);
  assert.equal(run.counters.retried, 2);
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("the condition did not come true within 5 s");
    await new Promise(setImmediate);
  }
}
