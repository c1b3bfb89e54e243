import assert from "node:assert/strict";
import { test } from "node:test";

import type { RunContext } from "../../src/contracts.ts";
import { callPolicy, CallTimeoutError, callWithPolicy } from "../../src/pipeline/call.ts";
import { noCounts } from "../../src/pipeline/counters.ts";
import { backoff } from "../../src/pipeline/retry.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";

test("back-off doubles from its factor and ends at 120 seconds", () => {
  const waits = (factor: number, attempts: number) => Array.from({ length: attempts }, (_, index) => backoff(factor, index + 1));
  assert.deepEqual(waits(1, 9), [1, 2, 4, 8, 16, 32, 64, 120, 120]);
  assert.deepEqual(waits(3, 7), [3, 6, 12, 24, 48, 96, 120]);
  assert.deepEqual(waits(0.5, 2), [0.5, 1]);
  assert.deepEqual(waits(0, 3), [0, 0, 0]);
});

test("neither a timer nor a listener stays behind a call, however it ends", async () => {
  const clock = new VirtualClock();
  const abandon = new AbortController();
  let listeners = 0;
  const { signal } = abandon;
  const watched = new Proxy(signal, {
    get(target, name) {
      if (name === "addEventListener") listeners += 1;
      if (name === "removeEventListener") listeners -= 1;
      const value = Reflect.get(target, name) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const counters = noCounts();
  const run = { clock, signal: watched, counters } as unknown as RunContext;
  const policy = callPolicy("call", { timeout: "1h" });
  const hangs = () => new Promise<number>(() => undefined);

  const nothing = () => undefined;
  const tries = { attempts: 1, first: 0, last: 0 };
  assert.deepEqual(await callWithPolicy(policy, () => 1, nothing, run), { how: "answered", value: 1, tries });
  const error = new Error("no");
  assert.deepEqual(await callWithPolicy(policy, () => Promise.reject(error), nothing, run), { how: "failed", error, tries });
  const [late] = await Promise.all([callWithPolicy(policy, hangs, nothing, run), clock.advance(3_600_000)]);
  assert.equal(late.how === "failed" && late.error instanceof CallTimeoutError, true);
  assert.equal(listeners, 0);
  const givenUp = callWithPolicy(policy, hangs, nothing, run);
  abandon.abort(new Error("given up"));
  await assert.rejects(givenUp, { message: "given up" });
  assert.deepEqual([clock.next, counters.inFlight], [undefined, 0]);
});
