import assert from "node:assert/strict";
import { test } from "node:test";

import { Silence } from "../src/silence.ts";
import { VirtualClock } from "../src/virtual-clock.ts";

function listening() {
  const clock = new VirtualClock();
  const heard: number[] = [];
  return { clock, heard, silence: new Silence(clock, 100, () => heard.push(clock.elapsed())) };
}

test("it says so when nothing has come for the time, once", async () => {
  const { clock, heard, silence } = listening();
  silence.begin();
  await clock.advance(99);
  assert.deepEqual(heard, []);
  await clock.advance(1000);
  assert.deepEqual(heard, [100]);
});

test("the time counts from the last beginning, however often something came before", async () => {
  const { clock, heard, silence } = listening();
  for (let step = 0; step < 30; step++) {
    silence.begin();
    await clock.advance(10);
    silence.end();
  }
  silence.begin();
  await clock.advance(1000);
  assert.deepEqual(heard, [400]);
});

test("while nothing is waited for it says nothing, and leaves no timer behind when it is disposed of", async () => {
  const { clock, heard, silence } = listening();
  silence.begin();
  silence.end();
  await clock.advance(1000);
  silence.begin();
  silence[Symbol.dispose]();
  assert.equal(clock.next, undefined);
  await clock.advance(1000);
  assert.deepEqual(heard, []);
});
