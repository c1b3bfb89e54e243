import assert from "node:assert/strict";
import { test } from "node:test";

import { Demand } from "../../src/nats/demand.ts";

const MIB = 1_048_576;

function demand(messages: number, bytes: number): Demand {
  const made = new Demand({ messages, bytes });
  made.maxPayload = 100_000;
  return made;
}

test("no more is asked for than the limit in messages leaves", () => {
  const wanted = demand(100, MIB);
  assert.deepEqual(wanted.more(), { messages: 100, bytes: MIB });
  assert.equal(wanted.more(), undefined, "all is asked for");
  for (let index = 0; index < 90; index++) wanted.arrived(1000);
  assert.equal(wanted.more(), undefined, "nothing was taken");
  for (let index = 0; index < 60; index++) wanted.taken(1000);
  wanted.ended(10, MIB);
  assert.deepEqual(wanted.more(), { messages: 70, bytes: MIB - 30_000 });
});

test("no more is asked for than the limit in bytes leaves, but always room for the largest message", () => {
  const wanted = demand(100, 1);
  const first = wanted.more();
  assert.equal(first?.bytes, 2 * (100_000 + 8192));
  wanted.arrived(150_000);
  wanted.ended(undefined, undefined);
  assert.equal(wanted.more(), undefined, "the largest message would not fit");
  wanted.taken(150_000);
  assert.deepEqual(wanted.more(), first);
});

test("limits of the consumer are kept", () => {
  const wanted = demand(100, MIB);
  assert.equal(wanted.limit("maxrequestbatch", 7), true);
  assert.equal(wanted.limit("maxrequestmaxbytes", 5000), true);
  assert.equal(wanted.limit("somethingelse", 1), false);
  assert.deepEqual(wanted.more(), { messages: 7, bytes: 5000 });
});
