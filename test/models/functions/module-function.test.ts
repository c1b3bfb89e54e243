import assert from "node:assert/strict";
import { test } from "node:test";

import { DataError, from, moduleFunction } from "millrace";
import type { MapAsyncOptions } from "millrace";
import { runPipeline } from "millrace/testing";

import { boxOf, sinkOf, sourceOf } from "../../pipeline/source-of.ts";
import type tenfold from "./enrich.ts";
import type { deadly, endless, renamed, slow, told, unsteady } from "./enrich.ts";

const url = import.meta.resolve("./enrich.ts");
const numbers = (...values: number[]) => values.map((value) => ({ value, key: `key ${value}`, time: value }));
const upTo = (n: number) => Array.from({ length: n }, (_, index) => index);

const CONCURRENCIES = ["async", "thread", "process"] as const;

for (const concurrency of CONCURRENCIES) {
  test(`${concurrency}: a function of a module is called with each value, results in input order`, async () => {
    const plan = from(sourceOf<number>()).mapAsync(moduleFunction<typeof tenfold>(url), { concurrency }).to(sinkOf());
    const { values } = await runPipeline<Awaited<ReturnType<typeof tenfold>>>(plan, numbers(...upTo(50)));
    assert.deepEqual(
      values.map(({ value }) => value),
      upTo(50).map((n) => n * 10),
    );
    const places = new Set(values.map(({ where }) => where));
    const here = places.has(`process ${process.pid}`);
    assert.equal(here, concurrency === "async");
    assert.ok([...places].every((place) => place.startsWith(concurrency === "thread" ? "thread" : "process")));
  });

  test(`${concurrency}: with passContext it is told whose call it is, and what it was set up with`, async () => {
    const fn = moduleFunction<typeof told>(url, { export: "told", settings: { limit: 3 } });
    const plan = (passContext: boolean) => from(sourceOf<number>()).mapAsync(fn, { concurrency, passContext, name: "enrich" }).to(sinkOf());
    assert.deepEqual((await runPipeline(plan(true), numbers(7))).values, ['7 test test enrich 1 {"limit":3}']);
    assert.deepEqual((await runPipeline(plan(false), numbers(7))).values, ['7     {"limit":3}']);
  });

  test(`${concurrency}: it is tried again, and what it throws at last is the error of its event`, async () => {
    const run = async (options: MapAsyncOptions, ...values: number[]) => {
      const plan = from(sourceOf<number>())
        .mapAsync(moduleFunction<typeof unsteady>(url, { export: "unsteady", parallel: 1 }), { concurrency, ...options })
        .deadLetter(boxOf())
        .to(sinkOf());
      return await runPipeline<number>(plan, numbers(...values));
    };
    const { values, letters, counters } = await run({ retries: 2, backoffFactor: 0 }, 0, 1, 2, 3);
    assert.deepEqual(values, [1, 2, 3]);
    assert.deepEqual(
      letters.map(({ error, message, attempts, step }) => [error, message, attempts, step]),
      [["RangeError", "attempt 3 of 3", 3, "mapAsync"]],
    );
    assert.equal(counters.retried, 1 + 2 + 2);
    await assert.rejects(run({ onError: "fail" }, 5), (error) => {
      assert.ok(error instanceof DataError);
      assert.match(error.message, /^step "mapAsync" at memory test\/0@0: attempt 1 of 5$/);
      return true;
    });
  });

  test(`${concurrency}: results go on as they are done where ordered is false`, async () => {
    const plan = from(sourceOf<number>())
      .mapAsync(moduleFunction<typeof slow>(url, { export: "slow", parallel: 1 }), { concurrency, ordered: false, maxInFlight: 4 })
      .to(sinkOf());
    const { values, position } = await runPipeline<number>(plan, numbers(1, 2, 4, 6));
    assert.deepEqual(
      values.toSorted((a, b) => a - b),
      [1, 2, 4, 6],
    );
    assert.equal(values.at(-1), 1);
    assert.equal(position, 4);
  });

  test(`${concurrency}: a call that takes too long is given up`, async () => {
    const plan = from(sourceOf<number>())
      .mapAsync(moduleFunction<typeof endless>(url, { export: "endless", parallel: 1 }), { concurrency, timeout: "200ms" })
      .to(sinkOf());
    await assert.rejects(runPipeline(plan, numbers(1)), { message: /no answer (?:within 200 ms|in time)/ });
  });
}

for (const concurrency of ["async", "thread"] as const) {
  test(`${concurrency}: with fullEvent it gets and returns events, and what it can't know of them stays`, async () => {
    const plan = from(sourceOf<number>())
      .mapAsync(moduleFunction<typeof renamed>(url, { export: "renamed" }), { concurrency, fullEvent: true })
      .to(sinkOf());
    const { sinks } = await runPipeline(plan, numbers(1, 2));
    assert.deepEqual(
      sinks[0]?.map(({ value, key, time, offset, origin }) => [value, key, time, offset, origin.name]),
      [
        [2, "k1", 1, 0, "test"],
        [3, "k2", 2, 1, "test"],
      ],
    );
  });
}

for (const concurrency of ["thread", "process"] as const) {
  test(`${concurrency}: an input that ends it again and again is an error of its event, and the others are answered`, async () => {
    const plan = from(sourceOf<number>())
      .mapAsync(moduleFunction<typeof deadly>(url, { export: "deadly", parallel: 1 }), { concurrency, onError: "deadLetter" })
      .deadLetter(boxOf())
      .to(sinkOf());
    const { values, letters } = await runPipeline<number>(plan, numbers(11, 12, 13, 14, 15));
    assert.deepEqual(values, [11, 12, 14, 15]);
    assert.match(letters[0]?.message ?? "", new RegExp(`the ${concurrency} that worked on this input ended, 2 times`));
  });
}

test("what can't be is refused before anything runs", async () => {
  const stream = from(sourceOf<number>());
  const refused = (plan: () => unknown, message: RegExp) => assert.throws(plan, { name: "PlanError", message });
  const options = (given: object) => given as MapAsyncOptions;
  refused(
    () => stream.mapAsync(async (n) => n, options({ concurrency: "foo" })),
    /concurrency must be one of async, thread, process \(got "foo"\)/,
  );
  refused(() => stream.mapAsync(async (n) => n, { concurrency: "thread" }), /put it in a module of its own: moduleFunction\(/);
  const fn = moduleFunction<typeof renamed>(url, { export: "renamed" });
  refused(() => stream.mapAsync(fn, { concurrency: "process", fullEvent: true }), /"process" may not be used with fullEvent/);
  refused(() => moduleFunction(url, { settings: () => 1 }), /settings must be plain data/);
  refused(() => moduleFunction("./enrich.ts"), /give the URL of its file/);
  refused(() => moduleFunction(url, { parallel: 0 }), /parallel must be a whole number, 1 or more \(got 0\)/);
});

test("a module that is missing, or has no such function, is a fault of the config", async () => {
  const run = (module: string, exported: string) =>
    runPipeline(
      from(sourceOf<number>())
        .mapAsync(moduleFunction(module, { export: exported }), { concurrency: "thread" })
        .to(sinkOf()),
      numbers(1),
    );
  await assert.rejects(run(import.meta.resolve("./enrich.ts"), "nothing"), {
    name: "ConfigError",
    message: /it exports no function "nothing"/,
  });
  await assert.rejects(run(new URL("./missing.ts", import.meta.url).href, "default"), {
    name: "ConfigError",
    message: /the module can't be read/,
  });
});
