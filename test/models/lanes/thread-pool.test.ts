import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { ThreadPool } from "../../../src/models/lanes/thread-pool.ts";
import { behaving, openLanes, BEHAVE } from "./lanes.ts";

const IDLE = new URL("data:text/javascript,setInterval(() => undefined, 1000)");

test("so many threads live at a time; who has to wait is told, and gets the next place", async () => {
  await using pool = new ThreadPool(2);
  const told: string[] = [];
  const { signal } = new AbortController();
  const start = (name: string) => pool.start(IDLE, {}, () => told.push(name), signal);
  const [first, second] = await Promise.all([start("first"), start("second")]);
  const third = start("third");
  await new Promise(setImmediate);
  assert.deepEqual(told, ["third"]);
  await first.terminate();
  assert.notEqual((await third).threadId, second.threadId);
});

test("who waits for a thread can give up", async () => {
  await using pool = new ThreadPool(1);
  const giveUp = new AbortController();
  await pool.start(IDLE, {}, () => undefined, giveUp.signal);
  const waiting = pool.start(IDLE, {}, () => giveUp.abort(new Error("not wanted")), giveUp.signal);
  await assert.rejects(waiting, { message: "not wanted" });
});

test("a pool that is closed ends its threads, and starts none of those that wait", async () => {
  const pool = new ThreadPool(1);
  const { signal } = new AbortController();
  const thread = await pool.start(IDLE, {}, () => undefined, signal);
  const exited = once(thread, "exit");
  const waiting = pool.start(IDLE, {}, () => undefined, signal);
  const refused = assert.rejects(waiting, /threads for models are given up/);
  await pool[Symbol.asyncDispose]();
  await Promise.all([exited, refused]);
});

test("a model waits for its thread until another has ended, and says so", async (t) => {
  const pool = new ThreadPool(1);
  t.after(() => pool[Symbol.asyncDispose]());
  const first = openLanes(t, "thread", { pool });
  await first.host({ kind: "each", exportName: "behave", url: BEHAVE });
  const reasons: (string | undefined)[] = [];
  const waiting = (reason: string | undefined) => reasons.push(reason);
  const second = openLanes(t, "thread", { pool }).host({ kind: "rows", url: BEHAVE }, { waiting, restarted: () => undefined });
  await new Promise(setImmediate);
  assert.equal(reasons.at(-1), "no thread is ready: all 1 threads for models of this worker process (setting maxThreads) are in use");
  await first[Symbol.asyncDispose]();
  assert.deepEqual((await second).identity, { name: "behave", version: "1" });
  assert.equal(reasons.at(-1), undefined);
});

test("threads that die take no place of the pool for good", async (t) => {
  const pool = new ThreadPool(1);
  t.after(() => pool[Symbol.asyncDispose]());
  const { tell } = await behaving(t, "thread", { pool, redeliver: 0 });
  for (let round = 0; round < 3; round++)
    await assert.rejects(tell({ do: "exit", code: round }), new RegExp(`process\\.exit\\(${round}\\)`));
  assert.equal(await tell({ do: "echo", value: 1 }), 1);
});
