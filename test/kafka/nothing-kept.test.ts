import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import v8 from "node:v8";
import vm from "node:vm";

import { BatchingProducer } from "../../src/kafka/batching-producer.ts";
import { outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import type { Outcome, ProducerClient } from "../../src/kafka/producer-client.ts";

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc") as (options?: { readonly type: "minor" }) => void;

/** A client that has every batch written one turn of the event loop later. */
const CLIENT: ProducerClient = {
  maxBatchRecords: 1000,
  partitions: () => Promise.resolve(4),
  createTopic: () => Promise.resolve(),
  writer: () => ({
    send: async (): Promise<Outcome> => {
      await turn();
      return { kind: "written" };
    },
    abandon: () => undefined,
  }),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** Bytes of what V8 keeps until its next full collection. */
function oldBytes(): number {
  return v8
    .getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === "old_space")
    .reduce((bytes, { space_used_size: used }) => bytes + used, 0);
}

test("records that are written are not kept until the next full collection", async () => {
  await using producer = new BatchingProducer(CLIENT, { compression: "none", maxMessageBytes: 1_000_000 });
  const { signal } = new AbortController();
  using topic = await producer.topic("t", { create: undefined, signal, waiting: () => undefined });
  const send = async (count: number) => {
    for (let n = 0; n < count; n++) {
      // Text made here takes up the heap that is measured: a buffer's bytes would be elsewhere.
      const value = Array.from({ length: 4000 }, () => n % 10).join("");
      await topic.send([outgoingRecord(`k${n}`, value, 0, undefined)], signal);
    }
  };
  const sendMany = () => Promise.all([send(1000), send(1000), send(1000), send(1000)]);
  await sendMany();
  const under = sendMany();
  await turn();
  // What is under way now becomes old, so that a chain has where to begin.
  collect();
  const before = oldBytes();
  await under;
  collect({ type: "minor" });
  collect({ type: "minor" });
  const kept = oldBytes() - before;
  // A part of it is code that was compiled meanwhile.
  assert(kept < 5_000_000, `${kept} bytes are kept, of 16,000,000 of values`);
});
