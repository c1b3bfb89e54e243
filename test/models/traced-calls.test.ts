import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { test } from "node:test";

import { from, memorySink, memorySource, worker } from "millrace";
import { runPipeline } from "millrace/testing";

import type { Event } from "../../src/batch.ts";
import type { ModelCaller } from "../../src/model.ts";
import { placed } from "../../src/models/place.ts";
import type { CallTracer } from "../../src/tracing.ts";
import { openContext } from "../support/open-context.ts";
import type double from "./products/double.ts";

const BATCHING = { maxSize: 8, maxDelay: 0, maxQueuedRows: 100, maxQueuedBytes: 1000 };

/** A model of one call at a time, by two callers, each call of which is recorded as `begin …`, `end …`. */
async function traced(t: TestContext, run: (rows: readonly unknown[]) => Promise<unknown[]>) {
  const told: string[] = [];
  const tracer: CallTracer = {
    begin: ({ model, kind, rows, call }) => {
      told.push(
        `begin ${model.name}@${model.version} ${kind}, ${rows} rows of ${call.joined ?? 1} calls: ${call.events.map(({ value }) => value).join()}`,
      );
      return { end: (failure) => void told.push(`end ${failure}`) };
    },
  };
  const identity = { name: "m", version: "1" };
  const load = () => Promise.resolve({ identity, capacity: 1, run, [Symbol.asyncDispose]: () => Promise.resolve() });
  const spec = placed({ kind: "here", description: {}, key: "m", load });
  const open = await spec.open({ ...openContext(t), tracer }, { step: "infer", batching: BATCHING });
  t.after(() => open[Symbol.asyncDispose]());
  const callers = ["a", "b"].map((name) => open.caller({ name, maxInFlight: 4, priority: 0 }));
  return { told, callers: callers as [ModelCaller, ModelCaller] };
}

function ask(caller: ModelCaller, ...values: readonly string[]) {
  const events = values.map((value) => ({ value }) as Partial<Event> as Event);
  return caller.predict(values, { events, signal: new AbortController().signal, until: Number.POSITIVE_INFINITY });
}

test("calls that are joined are one span, with the events of all", async (t) => {
  const { told, callers } = await traced(t, async (rows) => [...rows]);
  const [a, b] = callers;
  await Promise.all([ask(a, "1"), ask(a, "2", "3"), ask(b, "4")]);
  assert.deepEqual(told, ["begin m@1 here, 4 rows of 3 calls: 1,4,2,3", "end undefined"]);
});

test("a span ends with the class of the error that its call failed with", async (t) => {
  const { told, callers } = await traced(t, async () => {
    throw new RangeError("hunter22");
  });
  await assert.rejects(ask(callers[0], "1"), /m@1/);
  assert.deepEqual(told.slice(1), ["end RangeError"]);
});

test("results keep the trace context of their events", async () => {
  const plan = from(memorySource<number>([]))
    .infer(worker<typeof double>(import.meta.resolve("./products/double.ts")))
    .map((_, event) => event.headers?.map(([name]) => name))
    .to(memorySink());
  const headers = [["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]] as const;
  const { values } = await runPipeline(plan, [{ value: 1, headers }]);
  assert.deepEqual(values, [["traceparent", "millrace-model"]]);
});
