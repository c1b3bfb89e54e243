import assert from "node:assert/strict";
import { test } from "node:test";

import type { Batch, Step, Stream } from "millrace";
import { from } from "millrace";
import { runPipeline } from "millrace/testing";

import { sinkOf, sourceOf } from "./source-of.ts";

const numbers = (...values: number[]) => values.map((value) => ({ value }));

/** Async functions, as a product in plain JavaScript or with loose types may give them. */
const asynchronous: readonly [string, (stream: Stream<number>) => Stream<unknown>][] = [
  ["map", (stream) => stream.map(rejecting)],
  ["filter", (stream) => stream.filter(rejecting)],
  ["flatMap", (stream) => stream.flatMap(rejecting as () => never)],
  ["tap", (stream) => stream.tap(rejecting)],
  ["keyBy", (stream) => stream.keyBy(rejecting as () => never)],
  ["timeBy", (stream) => stream.timeBy(rejecting as () => never)],
  ["batch", (stream) => stream.batch({ size: 2, key: rejecting as () => never })],
];

async function rejecting(): Promise<unknown> {
  throw new Error("nobody waits for this");
}

for (const [name, build] of asynchronous) {
  test(`an async function given to ${name} is a data error that says so, and what it rejects with harms nobody`, async (t) => {
    const stray: unknown[] = [];
    const note = (error: unknown) => void stray.push(error);
    process.on("unhandledRejection", note);
    t.after(() => process.off("unhandledRejection", note));
    await assert.rejects(runPipeline(build(from(sourceOf<number>())).to(sinkOf()), numbers(1)), {
      name: "DataError",
      message: `step "${name}" at memory test/0@0: the function of "${name}" returned a promise; use mapAsync for asynchronous work`,
    });
    await new Promise(setImmediate);
    assert.deepEqual(stray, []);
  });
}

test("flatMap gives any number of events; what gives none counts as filtered", async () => {
  const plan = from(sourceOf<number>())
    .flatMap((n) => Array.from({ length: n }, () => n))
    .to(sinkOf());
  const run = await runPipeline(plan, numbers(2, 0, 3));
  assert.deepEqual(run.values, [2, 2, 3, 3, 3]);
  assert.equal(run.counters.filtered, 1);
});

test("flatMap says what is wrong with a function that gives nothing to go through", async () => {
  const plan = from(sourceOf<number>())
    .flatMap((() => undefined) as never)
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, numbers(1)), {
    message:
      'step "flatMap" at memory test/0@0: the function of "flatMap" must return something to go through, such as an array; got undefined',
  });
});

test("what flatMap makes of one event goes on in batches of bounded size, made as they are asked for", async () => {
  let made = 0;
  function* many(n: number) {
    for (let index = 0; index < n; index++) yield made++;
  }
  const seen: Pick<Batch, "position">[] = [];
  const watch: Step<number, number> = async function* (input) {
    let given = 0;
    for await (const batch of input) {
      given += batch.events.length;
      assert.ok(batch.events.length <= 1024, `${batch.events.length} events in a batch`);
      assert.ok(made - given <= 1024, `${made - given} events were made ahead`);
      seen.push({ position: batch.position });
      yield batch;
    }
  };
  const plan = from(sourceOf<number>()).flatMap(many).via("watch", watch).to(sinkOf());
  const run = await runPipeline(plan, numbers(10, 5_000, 10));
  assert.deepEqual(
    run.values,
    Array.from({ length: 5_020 }, (_, index) => index),
  );
  assert.deepEqual(
    seen.map(({ position }) => position),
    [1, 1, 1, 1, 3],
  );
});

test("what flatMap made before an event that it can't take apart is delivered, and nothing of that event", async () => {
  const received: unknown[] = [];
  const plan = from(sourceOf<number>())
    .flatMap(function* (n) {
      yield n;
      if (n === 2) throw new Error("no twos");
      yield n * 10;
    })
    .tap((n) => void received.push(n))
    .to(sinkOf());
  await assert.rejects(runPipeline(plan, numbers(1, 2, 3)), { message: 'step "flatMap" at memory test/0@1: no twos' });
  assert.deepEqual(received, [1, 10]);
});
