import assert from "node:assert/strict";
import { test } from "node:test";

import { InfrastructureError } from "millrace";
import { VirtualClock } from "millrace/testing";

import { SILENT } from "../../src/contracts.ts";
import type { CircuitBreakerOptions } from "../../src/models/circuit-breaker.ts";
import { breakerPolicy, CircuitBreaker } from "../../src/models/circuit-breaker.ts";
import { RetryableError } from "../../src/pipeline/retry.ts";

/** A breaker around a model that answers, or fails as told; `how` tells what came of each call. */
function guarded(options: CircuitBreakerOptions = {}) {
  const clock = new VirtualClock(Date.UTC(2026, 0, 1));
  const reasons: (string | undefined)[] = [];
  const context = { clock, logger: SILENT, random: () => 1, waiting: (reason: string | undefined) => void reasons.push(reason) };
  const breaker = new CircuitBreaker("digits@3", breakerPolicy("model", options), context);
  const signal = new AbortController().signal;
  let asked = 0;
  const how = async (outcome: "answer" | Error): Promise<unknown> => {
    const call = breaker.call(signal, async () => {
      asked += 1;
      if (outcome !== "answer") throw outcome;
      return outcome;
    });
    return await call.catch((error: unknown) => (error === outcome ? "failed" : error));
  };
  return { breaker, clock, reasons, how, asked: () => asked };
}

const AWAY = new InfrastructureError("connection refused");
const refusedFor = (refusal: unknown) => (refusal instanceof RetryableError ? refusal.retryAfter : refusal);

test("failures in a row open it: calls are refused at once, with the time until the next one is let through", async () => {
  const { how, asked, reasons, clock } = guarded({ failures: 3, wait: "4s" });
  for (let call = 0; call < 3; call++) assert.equal(await how(AWAY), "failed");
  assert.equal(refusedFor(await how("answer")), 4000);
  await clock.advance(1000);
  const refusal = await how("answer");
  assert.equal(refusedFor(refusal), 3000);
  assert.equal((refusal as Error).message, "model digits@3: not asked, since 3 calls in a row failed; it is tried again in 3000 ms");
  assert.equal(asked(), 3);
  assert.deepEqual(reasons, [
    "model digits@3: the circuit is open since 2026-01-01T00:00:00.000Z because 3 calls in a row failed, the last one with: connection refused",
  ]);
});

test("an answer in between ends the row, and so does an error of the data: the model is there", async () => {
  const { how, reasons } = guarded({ failures: 2 });
  for (const outcome of [AWAY, "answer", AWAY, new TypeError("bad input"), AWAY, "answer"] as const) await how(outcome);
  assert.deepEqual(reasons, []);
  for (let call = 0; call < 10; call++) assert.equal(await how(new TypeError("bad input")), "failed");
  assert.deepEqual(reasons, []);
});

test("after its wait one call is let through: an answer closes it, a failure opens it for twice as long", async () => {
  const { how, asked, reasons, clock } = guarded({ failures: 1, wait: "1s" });
  await how(AWAY);
  for (const wait of [1000, 2000, 4000]) {
    assert.equal(refusedFor(await how("answer")), wait);
    await clock.advance(wait);
    if (wait < 4000) assert.equal(await how(AWAY), "failed");
  }
  assert.equal(await how("answer"), "answer");
  assert.equal(await how("answer"), "answer");
  assert.equal(asked(), 5);
  assert.equal(reasons.at(-1), undefined);
  // What was before is forgotten: it takes the first wait again.
  await how(AWAY);
  assert.equal(refusedFor(await how("answer")), 1000);
});

test("while one call looks whether the model is back, the others wait for what it finds", async () => {
  const { breaker, how, clock } = guarded({ failures: 1, wait: "1s" });
  const signal = new AbortController().signal;
  await how(AWAY);
  await clock.advance(1000);
  const probe = Promise.withResolvers<string>();
  const looking = breaker.call(signal, () => probe.promise);
  let others = 0;
  const waiting = [1, 2, 3].map(() => breaker.call(signal, async () => (others += 1)));
  await clock.advance(0);
  assert.equal(others, 0);
  probe.resolve("back");
  assert.equal(await looking, "back");
  assert.deepEqual(await Promise.all(waiting), [1, 2, 3]);
});

test("when it is not back, those that waited are refused without asking it", async () => {
  const { breaker, how, clock, asked } = guarded({ failures: 1, wait: "1s" });
  const signal = new AbortController().signal;
  await how(AWAY);
  await clock.advance(1000);
  const probe = Promise.withResolvers<string>();
  const looking = breaker.call(signal, () => probe.promise);
  const waiting = [how("answer"), how("answer")];
  probe.reject(AWAY);
  await assert.rejects(looking, AWAY);
  assert.deepEqual((await Promise.all(waiting)).map(refusedFor), [2000, 2000]);
  assert.equal(asked(), 1);
});

test("a call that was given up says nothing: the next one looks in its place", async () => {
  const { breaker, how, clock } = guarded({ failures: 1, wait: "1s" });
  await how(AWAY);
  await clock.advance(1000);
  const given = new AbortController();
  const looking = breaker.call(given.signal, () => Promise.reject(new InfrastructureError("aborted")));
  given.abort();
  await assert.rejects(looking, { message: "aborted" });
  assert.equal(await how("answer"), "answer");
});

test("too large a share of failures opens it, as soon as there are enough calls to judge by", async () => {
  const { how, reasons, clock } = guarded({ failures: 100, errorRate: 0.5, calls: 6, within: "30s" });
  for (const outcome of [AWAY, "answer", AWAY, "answer", AWAY] as const) await how(outcome);
  assert.deepEqual(reasons, []);
  await how(AWAY);
  assert.match(String(reasons[0]), /because 4 of the last 6 calls failed/);
  await clock.advance(1000);
  await how("answer");
  // Calls of longer ago are forgotten.
  for (const outcome of [AWAY, AWAY, AWAY] as const) await how(outcome);
  await clock.advance(31_000);
  for (const outcome of ["answer", "answer", "answer", AWAY, AWAY, AWAY] as const) await how(outcome);
  assert.equal(reasons.length, 2);
});

test("calls that began before it opened change nothing when they end", async () => {
  const { breaker, how, clock } = guarded({ failures: 1, wait: "1s" });
  const slow = Promise.withResolvers<string>();
  const running = breaker.call(new AbortController().signal, () => slow.promise);
  await how(AWAY);
  slow.resolve("late");
  assert.equal(await running, "late");
  assert.equal(refusedFor(await how("answer")), 1000);
  await clock.advance(1000);
  assert.equal(await how("answer"), "answer");
});

test("a server that says when to come again is left alone until then", async () => {
  const { how, clock } = guarded({ failures: 1, wait: "1s" });
  await how(new RetryableError("busy", { retryAfter: 30_000 }));
  await clock.advance(29_000);
  assert.equal(refusedFor(await how("answer")), 1000);
});

test("what can be no option is refused with its name", () => {
  for (const [options, message] of [
    [{ failures: 0 }, "model: breaker.failures must be a whole number, 1 or more (got 0)"],
    [{ calls: 1.5 }, "model: breaker.calls must be a whole number, 1 or more (got 1.5)"],
    [{ errorRate: 2 }, "model: breaker.errorRate must be from 0 to 1 (got 2)"],
    [{ wait: 0 }, "model: breaker.wait: must be longer than 0"],
  ] as const) {
    assert.throws(() => breakerPolicy("model", options), { name: "PlanError", message });
  }
});
