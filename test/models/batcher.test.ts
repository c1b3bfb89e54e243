import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { failed } from "millrace";

import { InfrastructureError } from "../../src/errors.ts";
import type { ModelCaller } from "../../src/model.ts";
import { settle, VirtualClock } from "../../src/virtual-clock.ts";
import { ask, batcherOver, callerOf, callOf, IDENTITY } from "./batching/target.ts";

describe("a call", () => {
  for (const [why, options, maxSize] of [
    ["no other can come", { maxInFlight: 1 }, 8],
    ["it fills a batch", {}, 2],
  ] as const) {
    it(`goes at once, as it is, when the model has room and ${why}`, async () => {
      const { target, batcher } = batcherOver(new VirtualClock());
      const inputs = [1, 2];
      const call = callOf(inputs);
      const answer = callerOf(batcher, options, { maxSize }).predict(inputs, call);
      assert.equal(target.last.rows, inputs);
      assert.equal(target.last.call, call);
      target.last.answer([2, 4]);
      assert.deepEqual(await answer, { outputs: [2, 4], identity: IDENTITY });
      assert.deepEqual([batcher.queued, target.stats.queueSeconds], [0, 0]);
    });
  }

  it("goes with those that come in the same turn of the event loop, of any caller, also some promises later", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const [a, b, c] = [callerOf(batcher), callerOf(batcher), callerOf(batcher)];
    const later = async () => {
      for (let n = 0; n < 20; n++) await Promise.resolve();
      return await ask(c, [3]);
    };
    const answers = [ask(a, [1]), ask(b, [2]), later()];
    assert.deepEqual(target.rows, []);
    await settle();
    assert.deepEqual(target.rows, [[1, 2, 3]]);
    target.last.answer();
    assert.deepEqual(await Promise.all(answers), [[2], [4], [6]]);
  });

  it("goes alone, as it is, when no other comes in its turn", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const inputs = [1, 2];
    const call = callOf(inputs);
    const answer = callerOf(batcher).predict(inputs, call);
    await settle();
    assert.equal(target.last.rows, inputs);
    assert.equal(target.last.call, call);
    target.last.answer([2, 4]);
    assert.deepEqual(await answer, { outputs: [2, 4], identity: IDENTITY });
  });

  it("waits while the model is at its capacity, and goes with those that wait as well, of any caller", async () => {
    const clock = new VirtualClock();
    const { target, batcher } = batcherOver(clock);
    const [a, b] = [callerOf(batcher), callerOf(batcher)];
    const first = ask(a, [1]);
    await settle();
    const answers = [first, ask(b, [2]), ask(a, [3, 4]), ask(b, [5])];
    assert.deepEqual(target.rows, [[1]]);
    assert.equal(batcher.queued, 4);
    await clock.advance(2000);
    target.last.answer();
    await settle();
    assert.deepEqual(target.rows, [[1], [2, 3, 4, 5]]);
    assert.deepEqual([batcher.queued, target.stats.queueSeconds], [0, 6]);
    // Each call is counted, those as well that did not wait.
    assert.equal(target.stats.queueTimes[0], 1);
    assert.deepEqual(
      target.last.call.events.map(({ value }) => value),
      [2, 3, 4, 5],
    );
    target.last.answer();
    assert.deepEqual(await Promise.all(answers), [[2], [4], [6, 8], [10]]);
  });

  it("leaves its share of what waits to each of the calls that the model takes at a time", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    target.capacity = 3;
    const caller = callerOf(batcher, { maxInFlight: 99 });
    for (let n = 0; n < 3; n++) void ask(caller, [n]);
    await settle();
    for (let n = 3; n < 12; n++) void ask(caller, [n]);
    assert.deepEqual(target.rows, [[0], [1], [2]]);
    for (const sent of target.sent.slice()) sent.answer();
    await settle();
    assert.deepEqual(target.rows.slice(3), [
      [3, 4, 5],
      [6, 7],
      [8, 9],
    ]);
  });

  it("goes with others as long as there are not more rows than each of them allows", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const [a, b] = [callerOf(batcher, {}, { maxSize: 5 }), callerOf(batcher, {}, { maxSize: 3 })];
    void ask(a, [0]);
    await settle();
    void ask(a, [1, 2]);
    void ask(b, [3]);
    void ask(a, [4, 5]);
    void ask(a, [6, 7, 8, 9, 10, 11]);
    for (const rows of [
      [3, 1, 2],
      [4, 5],
      [6, 7, 8, 9, 10, 11],
    ]) {
      target.last.answer();
      await settle();
      assert.deepEqual(target.last.rows, rows);
    }
  });

  it("goes only with calls whose rows have its shape", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher);
    const [two, three] = [new Float32Array(2), new Float32Array(3)];
    void ask(caller, [0]);
    await settle();
    for (const inputs of [[two], [three], [two, two], [two, three], [three]]) void ask(caller, inputs);
    for (const rows of [
      [two, two, two],
      [three, three],
      [two, three],
    ]) {
      target.last.answer();
      await settle();
      assert.deepEqual(target.last.rows, rows);
    }
  });

  it("gets its part of a typed array", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher);
    const first = ask(caller, [0]);
    await settle();
    const answers = [first, ask(caller, [1]), ask(caller, [2, 3])];
    target.last.answer();
    await settle();
    target.last.answer(Float32Array.of(10, 20, 30));
    assert.deepEqual(await Promise.all(answers), [[0], [10], [20, 30]]);
  });
});

describe("a call that could wait for others", () => {
  it("waits no longer than its delay", async () => {
    const clock = new VirtualClock();
    const { target, batcher } = batcherOver(clock);
    const caller = callerOf(batcher, {}, { maxDelay: 10 });
    void ask(caller, [1]);
    await clock.advance(9);
    void ask(caller, [2]);
    assert.deepEqual(target.rows, []);
    await clock.advance(1);
    assert.deepEqual(target.rows, [[1, 2]]);
  });

  it("has a delay of its own: what went before leaves no timer", async () => {
    const clock = new VirtualClock();
    const { target, batcher } = batcherOver(clock);
    target.capacity = 2;
    const caller = callerOf(batcher, { maxInFlight: 10 }, { maxDelay: 10, maxSize: 2 });
    void ask(caller, [1]);
    await clock.advance(5);
    void ask(caller, [2]);
    await settle();
    assert.deepEqual(target.rows, [[1, 2]]);
    void ask(caller, [3]);
    await clock.advance(9);
    assert.deepEqual(target.rows, [[1, 2]]);
    await clock.advance(1);
    assert.deepEqual(target.rows, [[1, 2], [3]]);
  });

  it("goes when there are as many rows as it allows", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher, {}, { maxDelay: 10, maxSize: 3 });
    void ask(caller, [1]);
    void ask(caller, [2, 3]);
    await settle();
    assert.deepEqual(target.rows, [[1, 2, 3]]);
  });

  it("goes with one that does not wait", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    void ask(callerOf(batcher, {}, { maxDelay: 10 }), [1]);
    void ask(callerOf(batcher), [2]);
    await settle();
    assert.deepEqual(
      target.rows.map((rows) => rows.length),
      [2],
    );
  });

  it("goes at once when all that can come is there, also when a caller leaves", async () => {
    const clock = new VirtualClock();
    const { target, batcher } = batcherOver(clock);
    target.capacity = 9;
    const [a, b, c] = ["a", "b", "c"].map((name) => callerOf(batcher, { name, maxInFlight: 1 }, { maxDelay: 10 }));
    assert(a !== undefined && b !== undefined && c !== undefined);
    void ask(a, [1]);
    void ask(b, [2]);
    await settle();
    assert.deepEqual(target.rows, []);
    void ask(c, [3]);
    await settle();
    assert.deepEqual(target.rows, [[1, 2, 3]]);
    target.last.answer();
    await settle();
    void ask(a, [4]);
    void ask(b, [5]);
    c[Symbol.dispose]();
    assert.deepEqual(target.rows.slice(1), [[4, 5]]);
    assert.equal(clock.next, undefined);
  });

  it("does not wait longer than half of what its deadline spares", async () => {
    const clock = new VirtualClock();
    const { target, batcher } = batcherOver(clock);
    const caller = callerOf(batcher, {}, { maxDelay: 1000 });
    void ask(caller, [1], { until: 20 });
    await clock.advance(10);
    assert.deepEqual(target.rows, [[1]]);
  });
});

describe("when joined calls fail", () => {
  it("each is tried alone, so that none pays for a row of another", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher);
    const first = ask(caller, [0]);
    await settle();
    const settled = Promise.allSettled([first, ask(caller, [1]), ask(caller, [2, 3]), ask(caller, [4])]);
    target.last.answer();
    await settle();
    assert.deepEqual(target.last.rows, [1, 2, 3, 4]);
    const bad = new TypeError("bad row");
    target.last.fail(bad);
    await settle();
    assert.deepEqual(target.last.rows, [1]);
    target.last.answer();
    await settle();
    assert.deepEqual(target.last.rows, [2, 3]);
    target.last.fail(bad);
    await settle();
    assert.deepEqual(target.last.rows, [4]);
    target.last.answer();
    assert.deepEqual(await settled, [
      { status: "fulfilled", value: [0] },
      { status: "fulfilled", value: [2] },
      { status: "rejected", reason: bad },
      { status: "fulfilled", value: [8] },
    ]);
    assert.equal(batcher.queued, 0);
  });

  it("each gets an error of the infrastructure, which is nobody's fault", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher);
    void ask(caller, [0]);
    await settle();
    const settled = Promise.allSettled([ask(caller, [1]), ask(caller, [2])]);
    target.last.answer();
    await settle();
    const away = new InfrastructureError("away");
    target.last.fail(away);
    assert.deepEqual(await settled, [
      { status: "rejected", reason: away },
      { status: "rejected", reason: away },
    ]);
    assert.equal(target.sent.length, 2);
  });

  it("a row that failed alone goes to its own call", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher);
    void ask(caller, [0]);
    await settle();
    const answers = [ask(caller, [1]), ask(caller, [2])];
    target.last.answer();
    await settle();
    const refused = failed(new Error("not this one")) as unknown;
    target.last.answer([2, refused]);
    assert.deepEqual(await Promise.all(answers), [[2], [refused]]);
  });
});

describe("a call that nobody waits for any more", () => {
  it("leaves at once, with the signal's reason", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher);
    const controller = new AbortController();
    void ask(caller, [0]);
    await settle();
    const given = ask(caller, [1], { signal: controller.signal });
    const kept = ask(caller, [2]);
    const reason = new Error("enough");
    controller.abort(reason);
    await assert.rejects(given, reason);
    assert.equal(batcher.queued, 1);
    await assert.rejects(ask(caller, [3], { signal: controller.signal }), reason);
    target.last.answer();
    await settle();
    target.last.answer();
    assert.deepEqual(await kept, [4]);
    assert.deepEqual(target.rows, [[0], [2]]);
  });

  it("ends joined work only when the others are not wanted either", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const caller = callerOf(batcher);
    const [first, second] = [new AbortController(), new AbortController()];
    void ask(caller, [0]);
    await settle();
    const answers = [ask(caller, [1], { signal: first.signal, until: 50 }), ask(caller, [2], { signal: second.signal, until: 70 })];
    target.last.answer();
    await settle();
    const { signal, until } = target.last.call;
    assert.equal(until, 70);
    const [one, two] = [new Error("one"), new Error("two")];
    first.abort(one);
    await assert.rejects(answers[0] as Promise<unknown>, one);
    assert.equal(signal.aborted, false);
    second.abort(two);
    await assert.rejects(answers[1] as Promise<unknown>, two);
    assert.equal(signal.reason, two);
  });
});

describe("a call with a deadline", () => {
  it("is refused when its time is up", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    await assert.rejects(ask(callerOf(batcher), [1], { until: 0 }), (error: Error) => {
      assert(error instanceof InfrastructureError);
      assert.equal(error.message, "model m@1: the answer to a call would come too late: its time was up before its turn came");
      return true;
    });
    assert.deepEqual(target.rows, []);
  });

  it("is refused as soon as the model would need longer, and does not disturb the others", async () => {
    const clock = new VirtualClock();
    const { target, batcher } = batcherOver(clock);
    const caller = callerOf(batcher);
    void ask(caller, [1], { until: 1000 });
    await settle();
    await clock.advance(30);
    target.last.answer();
    await settle();
    void ask(caller, [2]);
    await settle();
    const late = { name: "InfrastructureError", message: /would come too late: it has 20 ms left and needs 30 ms at the least/ };
    await assert.rejects(ask(caller, [3], { until: 50 }), late);
    const patient = ask(caller, [4], { until: 150 });
    const impatient = ask(caller, [5], { until: 100 });
    const refused = assert.rejects(impatient, { message: /it has 30 ms left and needs 30 ms at the least/ });
    await clock.advance(40);
    await refused;
    target.last.answer();
    await settle();
    target.last.answer();
    assert.deepEqual(await patient, [8]);
    assert.deepEqual(target.rows, [[1], [2], [4]]);
    assert.equal(clock.next, undefined);
  });

  it("is tried when the model has room, whatever it needed before", async () => {
    const clock = new VirtualClock();
    const { target, batcher } = batcherOver(clock);
    const caller = callerOf(batcher);
    void ask(caller, [1], { until: 2000 });
    await clock.advance(1000);
    target.last.answer();
    await settle();
    void ask(caller, [2], { until: clock.elapsed() + 10 });
    await settle();
    assert.deepEqual(target.last.rows, [2]);
  });
});

describe("turns", () => {
  it("go to the caller that has had the fewest rows", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const [a, b] = [callerOf(batcher, { maxInFlight: 99 }, { maxSize: 2 }), callerOf(batcher, { maxInFlight: 99 }, { maxSize: 2 })];
    for (let n = 0; n < 5; n++) void ask(a, ["a", "a"]);
    for (let n = 0; n < 4; n++) void ask(b, ["b"]);
    const turns: string[] = [];
    for (let n = 0; n < 7; n++) {
      turns.push(target.last.rows.join(""));
      target.last.answer();
      await settle();
    }
    assert.deepEqual(turns, ["aa", "aa", "bb", "aa", "bb", "aa", "aa"]);
  });

  it("go to one that asks seldom as soon as it asks, however many rows another has waiting", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const [flood, seldom] = [callerOf(batcher, { maxInFlight: 99 }), callerOf(batcher)];
    const eight = Array.from({ length: 8 }, (_, index) => index);
    for (let n = 0; n < 99; n++) void ask(flood, eight);
    for (let n = 0; n < 10; n++) {
      target.last.answer();
      await settle();
      void ask(seldom, [n]);
      target.last.answer();
      await settle();
      assert.deepEqual(target.last.rows, [n]);
    }
  });

  it("go to a higher priority first, but for one batch in sixteen", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const low = callerOf(batcher, { maxInFlight: 99 }, { maxSize: 1 });
    const high = callerOf(batcher, { maxInFlight: 99, priority: 5 }, { maxSize: 1 });
    for (let n = 0; n < 3; n++) void ask(low, ["low"]);
    for (let n = 0; n < 40; n++) void ask(high, ["high"]);
    for (let n = 0; n < 42; n++) {
      target.last.answer();
      await settle();
    }
    const lows = target.sent.flatMap(({ rows }, index) => (rows[0] === "low" ? [index] : []));
    assert.deepEqual(lows, [0, 16, 32]);
  });

  it("fill up a batch of a higher priority with calls of a lower one", async () => {
    const { target, batcher } = batcherOver(new VirtualClock());
    const [low, high] = [callerOf(batcher), callerOf(batcher, { priority: 1 })];
    void ask(low, [0]);
    await settle();
    void ask(low, [1]);
    void ask(high, [2]);
    target.last.answer();
    await settle();
    assert.deepEqual(target.last.rows, [2, 1]);
  });
});

it("a caller may have one call under way while more rows or bytes wait than it allows", async () => {
  const { target, batcher } = batcherOver(new VirtualClock());
  const rows = callerOf(batcher, { maxInFlight: 5 }, { maxQueuedRows: 3 });
  const bytes = callerOf(batcher, { maxInFlight: 6 }, { maxQueuedBytes: 40 });
  void ask(rows, [0]);
  await settle();
  void ask(rows, [1, 2]);
  assert.deepEqual([rows.maxInFlight, bytes.maxInFlight], [5, 6]);
  void ask(rows, [3]);
  assert.deepEqual([rows.maxInFlight, bytes.maxInFlight], [1, 6]);
  void ask(bytes, [4]);
  assert.deepEqual([rows.maxInFlight, bytes.maxInFlight], [1, 1]);
  target.last.answer();
  await settle();
  assert.deepEqual([rows.maxInFlight, bytes.maxInFlight], [5, 6]);
});

it("a caller may have one call under way while two full batches of its own keep the model busy, for each call that it takes at a time", async () => {
  for (const [capacity, calls] of [
    [0, 2],
    [1, 2],
    [3, 6],
  ] as const) {
    const { target, batcher } = batcherOver(new VirtualClock());
    target.capacity = capacity;
    const [busy, other] = [1, 2].map(() => callerOf(batcher, { maxInFlight: 9 }, { maxSize: 2 })) as [ModelCaller, ModelCaller];
    for (let call = 0; call < calls; call++) {
      assert.equal(busy.maxInFlight, 9);
      void ask(busy, [1, 2]);
    }
    assert.deepEqual([busy.maxInFlight, other.maxInFlight], [1, 9]);
    await settle();
    target.last.answer();
    await settle();
    assert.equal(busy.maxInFlight, 9);
  }
});

it("a batcher that is closed, and a caller that leaves, refuse what waits", async () => {
  const clock = new VirtualClock();
  const { target, batcher } = batcherOver(clock);
  const [a, b] = [callerOf(batcher, { name: "a" }), callerOf(batcher, { name: "b" })];
  const busy = ask(a, [0]);
  await settle();
  const waiting = [ask(a, [1], { until: 99 }), ask(b, [2])];
  a[Symbol.dispose]();
  await assert.rejects(waiting[0] as Promise<unknown>, { name: "InfrastructureError", message: "model m@1: a has closed it" });
  await batcher[Symbol.asyncDispose]();
  await assert.rejects(waiting[1] as Promise<unknown>, { name: "InfrastructureError", message: "model m@1: it is closed" });
  await assert.rejects(ask(b, [3]), { message: "model m@1: it is closed" });
  target.last.answer();
  assert.deepEqual(await busy, [0]);
  assert.equal(batcher.queued, 0);
  assert.equal(clock.next, undefined);
});
