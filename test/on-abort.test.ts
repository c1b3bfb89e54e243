import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { onAbort } from "../src/on-abort.ts";

function waiting() {
  const controller = new AbortController();
  const called: string[] = [];
  return {
    controller,
    called,
    wait: (name: string) => onAbort(controller.signal, () => called.push(name)),
    listeners: () => getEventListeners(controller.signal, "abort").length,
  };
}

test("all who wait are called once when the signal aborts", () => {
  const { controller, called, wait } = waiting();
  for (const name of ["a", "b", "c"]) wait(name);
  controller.abort();
  controller.abort();
  assert.deepEqual(called.toSorted(), ["a", "b", "c"]);
});

test("who has been taken out is not called, also when it is taken out by one who is", () => {
  const { controller, called, wait } = waiting();
  wait("a")();
  const takeOut: (() => void)[] = [];
  onAbort(controller.signal, () => takeOut[0]?.());
  takeOut.push(wait("b"));
  wait("c");
  controller.abort();
  assert.deepEqual(called, ["c"]);
});

test("one callback that waits twice is called twice, and taken out once at a time", () => {
  const controller = new AbortController();
  let calls = 0;
  const count = () => void (calls += 1);
  const first = onAbort(controller.signal, count);
  onAbort(controller.signal, count);
  onAbort(controller.signal, count);
  first();
  first();
  controller.abort();
  assert.equal(calls, 2);
});

test("a signal has one listener, however many wait, and none when nobody does", () => {
  const { wait, listeners } = waiting();
  const out = [wait("a"), wait("b"), wait("c")];
  assert.equal(listeners(), 1);
  for (const takeOut of out) takeOut();
  assert.equal(listeners(), 0);
  wait("d");
  assert.equal(listeners(), 1);
});
