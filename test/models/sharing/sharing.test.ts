import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import type { ModelSpec } from "millrace";
import { from, memorySink, memorySource, worker } from "millrace";

import type { SharedResources } from "../../../src/contracts.ts";
import type { ModelRunner } from "../../../src/model.ts";
import { placed } from "../../../src/models/place.ts";
import type { InferOptions } from "../../../src/pipeline/infer.ts";
import { createInstance } from "../../../src/pipeline/instance.ts";
import { openSharedResources } from "../../../src/shared-resources.ts";
import { openContext } from "../../support/open-context.ts";
import { until } from "../../support/until.ts";
import { ledger } from "./ledger.ts";
import type noted from "./noted.ts";

/** An input that is given by hand: `push` gives an event, `end` ends it. */
class Input implements AsyncIterable<{ readonly value: number }> {
  /** Events that were read. */
  read = 0;
  #wanted = Promise.withResolvers<void>();
  readonly #rows: number[] = [];
  #ended = false;

  push(value: number): void {
    this.#rows.push(value);
    this.#wanted.resolve();
  }

  end(): void {
    this.#ended = true;
    this.#wanted.resolve();
  }

  async *[Symbol.asyncIterator]() {
    while (true) {
      const value = this.#rows.shift();
      if (value !== undefined) {
        this.read += 1;
        yield { value };
      } else if (this.#ended) return;
      else {
        await this.#wanted.promise;
        this.#wanted = Promise.withResolvers<void>();
      }
    }
  }
}

/** Runs a task over what is shared: its input goes through a model. */
function run(t: TestContext, shared: SharedResources, spec: ModelSpec<number, number>, options: InferOptions = {}) {
  const input = new Input();
  const sink = memorySink();
  const plan = from(memorySource<number>(input)).infer(spec, options).to(sink);
  const done = createInstance(plan, { ...openContext(t), shared }).run(new AbortController().signal);
  const results = () => sink.events.map(({ value }) => value);
  const end = async () => {
    input.end();
    await done;
  };
  return { input, results, end };
}

/** A model that notes the rows of its calls, and answers when it is told to. */
function gated() {
  const calls: (readonly unknown[])[] = [];
  const waiting: (() => void)[] = [];
  const runner: ModelRunner = {
    identity: { name: "gated", version: "1" },
    capacity: 1,
    run: (rows) => {
      calls.push(rows);
      return new Promise((resolve) => waiting.push(() => resolve(rows.map((row) => Number(row) * 10))));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const spec = placed({ kind: "gated", description: {}, key: "gated", load: () => Promise.resolve(runner) });
  return { spec: spec as unknown as ModelSpec<number, number>, calls, answer: () => waiting.shift()?.() };
}

test("all pipelines of a process share one copy of a model, and the last of them unloads it", async (t) => {
  ledger.length = 0;
  const shared = openSharedResources();
  const spec = () => worker<typeof noted>(import.meta.resolve("./noted.ts"), { settings: { size: 1 } });
  const [a, b] = [run(t, shared, spec()), run(t, shared, spec())];
  a.input.push(1);
  b.input.push(2);
  await until("both have answered", () => a.results()[0] === 2 && b.results()[0] === 3);
  await a.end();
  b.input.push(3);
  await until("the other goes on", () => b.results()[1] === 4);
  assert.deepEqual(ledger, ['load {"size":1}']);
  await b.end();
  assert.deepEqual(ledger, ['load {"size":1}', "unload"]);
});

test("other settings are another model", async (t) => {
  ledger.length = 0;
  const shared = openSharedResources();
  const spec = (size: number) => worker<typeof noted>(import.meta.resolve("./noted.ts"), { settings: { size } });
  const [a, b] = [run(t, shared, spec(1)), run(t, shared, spec(2))];
  await Promise.all([a.end(), b.end()]);
  assert.deepEqual(ledger.toSorted(), ['load {"size":1}', 'load {"size":2}', "unload", "unload"]);
});

test("what several pipelines have waiting goes to the model in one call, and each gets its own results", async (t) => {
  const shared = openSharedResources();
  const { spec, calls, answer } = gated();
  const [a, b] = [run(t, shared, spec), run(t, shared, spec)];
  for (const [{ input }, value, calls] of [
    [a, 1, 1],
    [b, 2, 1],
    [a, 3, 2],
  ] as const) {
    input.push(value);
    await until("it is read", () => input.read === calls);
  }
  await turns();
  assert.deepEqual(calls, [[1]]);
  answer();
  await until("the others have gone", () => calls.length === 2);
  assert.deepEqual(calls[1]?.toSorted(), [2, 3]);
  answer();
  await until("all is answered", () => a.results().length === 2 && b.results().length === 1);
  assert.deepEqual([a.results(), b.results()], [[10, 30], [20]]);
  await Promise.all([a.end(), b.end()]);
});

test("while more rows wait for a model than may, its pipelines read no more than one call each", async (t) => {
  const shared = openSharedResources();
  const { spec, calls, answer } = gated();
  const runs = Array.from({ length: 3 }, () => run(t, shared, spec, { maxInFlight: 50, batch: { maxQueuedRows: 4 } }));
  for (let value = 0; value < 20; value++) {
    for (const { input } of runs) input.push(value);
    await turns();
  }
  const read = runs.map(({ input }) => input.read);
  // With room each would have had 20 calls under way: they are read one by one.
  assert(read.reduce((sum, rows) => sum + rows) <= 20, `read ${read.join(", ")}`);
  const answering = setInterval(answer, 1);
  t.after(() => clearInterval(answering));
  await Promise.all(runs.map(({ end }) => end()));
  const all = Array.from({ length: 20 }, (_, value) => value * 10);
  for (const { results } of runs) assert.deepEqual(results(), all);
  assert(calls.length < 60);
});

/** Lets what has been started go as far as it can. */
async function turns(): Promise<void> {
  for (let n = 0; n < 20; n++) await turn();
}
