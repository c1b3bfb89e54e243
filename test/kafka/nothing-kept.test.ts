import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { BatchingProducer } from "../../src/kafka/batching-producer.ts";
import { outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import type { Outcome, ProducerClient } from "../../src/kafka/producer-client.ts";
import { bytesKept, textOnHeap } from "../support/old-space.ts";

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

test("records that are written are not kept until V8's next full collection", async () => {
  await using producer = new BatchingProducer(CLIENT, { compression: "none", maxMessageBytes: 1_000_000 });
  const { signal } = new AbortController();
  using topic = await producer.topic("t", { create: undefined, signal, waiting: () => undefined });
  const send = async () => {
    for (let n = 0; n < 1000; n++) await topic.send([outgoingRecord(`k${n}`, textOnHeap(4000), 0, undefined)], signal);
  };
  const kept = await bytesKept(() => Promise.all([send(), send(), send(), send()]));
  assert(kept < 5_000_000, `${kept} bytes are kept, of 16,000,000 of values`);
});
