import assert from "node:assert/strict";
import { test } from "node:test";

import type { Connection } from "@platformatic/kafka";

import type { Answer, PartitionBatch } from "../../src/kafka/platformatic-produce.ts";
import { ProduceRequests, produceVersion } from "../../src/kafka/platformatic-produce.ts";

const VERSION = 11;
const NOT_LEADER_OR_FOLLOWER = 6;

type Callback = (error: Error | null) => void;

/** A connection that keeps what is sent over it, for the test to answer. */
function fakeConnection() {
  const requests: { readonly bytes: Buffer; readonly answer: Callback }[] = [];
  let destroyed = 0;
  const send = (_api: number, _version: number, create: () => { readonly buffer: Buffer }, ...rest: readonly unknown[]) => {
    requests.push({ bytes: create().buffer, answer: rest.at(-1) as Callback });
  };
  const connection = { send, socket: { destroy: () => (destroyed += 1) } } as unknown as Connection;
  return { connection, requests, destroyed: () => destroyed };
}

function batch(topic: string, partition: number, over: Partial<PartitionBatch> = {}): PartitionBatch {
  return { topic, partition, bytes: Buffer.from(`[${topic}/${partition}]`), transaction: null, company: "others", ...over };
}

/** The batches that a request holds. */
function batchesIn({ bytes }: { readonly bytes: Buffer }): string {
  return [...bytes.toString("latin1").matchAll(/\[(\w+\/\d+)\]/g)].map(([, name]) => name).join(" ");
}

function refusing(topic: string, codes: Readonly<Record<number, number>>): Error {
  const partitionResponses = Object.entries(codes).map(([index, errorCode]) => ({
    index: Number(index),
    errorCode,
    recordErrors: [],
    errorMessage: null,
  }));
  return Object.assign(new Error("refused"), { response: { responses: [{ name: topic, partitionResponses }] } });
}

async function turn(): Promise<void> {
  await new Promise(setImmediate);
}

test("batches for partitions of one topic that are ready in one turn go in one request", async () => {
  const { connection, requests } = fakeConnection();
  const produce = new ProduceRequests();
  const sent = [0, 1, 2].map((partition) => produce.send(connection, VERSION, batch("a", partition)));
  assert.equal(requests.length, 0);
  await turn();
  assert.deepEqual(requests.map(batchesIn), ["a/0 a/1 a/2"]);
  requests[0]?.answer(null);
  assert.deepEqual(await Promise.all(sent), [undefined, undefined, undefined]);
});

test("what may not go together goes apart: other topics and transactions, the same partition, what is to go alone, and much", async () => {
  const { connection, requests } = fakeConnection();
  const produce = new ProduceRequests();
  const large = Buffer.concat([Buffer.from("[a/4]"), Buffer.alloc(256 * 1024)]);
  for (const one of [
    batch("a", 0),
    batch("b", 0),
    batch("a", 1, { transaction: "t" }),
    batch("a", 0),
    batch("a", 2, { company: "alone" }),
    batch("a", 3),
    batch("a", 4, { bytes: large }),
  ])
    void produce.send(connection, VERSION, one);
  await turn();
  assert.deepEqual(requests.map(batchesIn).toSorted(), ["a/0", "a/0 a/3", "a/1", "a/2", "a/4", "b/0"]);
});

test("each batch has its own answer", async () => {
  const { connection, requests, destroyed } = fakeConnection();
  const produce = new ProduceRequests();
  const sent = [0, 1].map((partition) => produce.send(connection, VERSION, batch("a", partition)));
  await turn();
  requests[0]?.answer(refusing("a", { 0: 0, 1: NOT_LEADER_OR_FOLLOWER }));
  const refusal: Answer = { name: "NOT_LEADER_OR_FOLLOWER", message: "the broker gives no reason" };
  assert.deepEqual(await Promise.all(sent), [undefined, refusal]);
  assert.equal(destroyed(), 0);
});

test("without an answer each is told why, and the connection is given up", async () => {
  const { connection, requests, destroyed } = fakeConnection();
  const produce = new ProduceRequests();
  const sent = [0, 1].map((partition) => produce.send(connection, VERSION, batch("a", partition)));
  await turn();
  requests[0]?.answer(new Error("timed out"));
  const outcomes = await Promise.allSettled(sent);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status === "rejected" && (outcome.reason as Error).message),
    ["timed out", "timed out"],
  );
  assert.equal(destroyed(), 1);
});

test("the newest version that both know is used", () => {
  const version = (minVersion: number, maxVersion: number) => produceVersion([{ apiKey: 0, minVersion, maxVersion }]);
  assert.deepEqual([version(3, 9), version(0, 10), version(0, 13), version(0, 8)], [9, 10, 11, undefined]);
});
