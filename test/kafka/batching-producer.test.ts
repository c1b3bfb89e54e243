import assert from "node:assert/strict";
import { test } from "node:test";

import { InfrastructureError, NotReadyError } from "../../src/errors.ts";
import { BatchingProducer } from "../../src/kafka/batching-producer.ts";
import { type OutgoingRecord, outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import { denial, type Outcome, type PartitionWriter, type ProducerClient, WRITTEN } from "../../src/kafka/producer-client.ts";
import { RecordRefusedError, type TopicOptions } from "../../src/kafka/producer.ts";
import { until } from "../support/until.ts";

const signal = new AbortController().signal;
const options: TopicOptions = { create: undefined, signal, waiting: () => undefined };

test("what comes while a batch is under way becomes the next one, in order", async () => {
  const cluster = new FakeCluster();
  const writer = await producerOf(cluster).topic("t", options);
  cluster.hold();
  const sends = ["a", "b", "c", "d"].map((value) => writer.send([record(value)], signal));
  await until("the first batch is under way", () => cluster.underWay === 1);
  sends.push(writer.send([record("e"), record("f")], signal), writer.send([record("g")], signal));
  cluster.release();
  await Promise.all(sends);
  assert.deepEqual(cluster.batches, ["abcd", "efg"]);
});

test("a batch is cut at the limit, and a call that spans batches settles after its last", async () => {
  const cluster = new FakeCluster();
  const writer = await producerOf(cluster, 1024).topic("t", options);
  const values = Array.from({ length: 12 }, (_, n) => String.fromCodePoint(97 + n));
  await writer.send(
    values.map((value) => outgoingRecord(undefined, value.repeat(300), 1, undefined)),
    signal,
  );
  assert.deepEqual(
    cluster.batches.map((batch) => batch.length),
    [600, 600, 600, 600, 600, 600],
  );
  assert.equal([...new Set(cluster.batches.join(""))].join(""), values.join(""));
});

test("a batch whose outcome is unknown is sent again as it is, before anything else", async () => {
  const cluster = new FakeCluster();
  const writer = await producerOf(cluster).topic("t", options);
  cluster.answer({ kind: "again", reason: "lost" }, { kind: "again", reason: "lost" });
  const first = writer.send([record("a")], signal);
  await until("it was tried", () => cluster.tried.length === 1);
  const second = writer.send([record("b")], signal);
  await Promise.all([first, second]);
  assert.deepEqual(
    cluster.tried.map((records) => textOf(records)),
    ["a", "a", "a", "b"],
  );
  assert.equal(cluster.tried[0], cluster.tried[2], "the very same batch");
  assert.equal(cluster.abandoned, 0);
});

test("a refused batch is halved until the record at fault is alone", async () => {
  const cluster = new FakeCluster((records) =>
    textOf(records).includes("X") ? { kind: "refused", tooLarge: false, reason: "bad X" } : WRITTEN,
  );
  const writer = await producerOf(cluster).topic("t", options);
  cluster.hold();
  const good = writer.send(recordsOf("abc"), signal);
  const records = recordsOf("deXfg");
  const bad = writer.send(records, signal);
  const behind = writer.send(recordsOf("hij"), signal);
  cluster.release();
  await assert.rejects(bad, (error) => error instanceof RecordRefusedError && error.record === records[2] && error.message === "bad X");
  await Promise.all([good, behind]);
  assert.equal(cluster.batches.join(""), "abcdehij");
});

test("what the broker denies fails the call with the reason", async () => {
  const cluster = new FakeCluster(() => ({ kind: "denied", error: denial("t", "not yours", undefined) }));
  const writer = await producerOf(cluster).topic("t", options);
  await assert.rejects(
    writer.send([record("a")], signal),
    (error) => error instanceof InfrastructureError && /not yours/.test(error.message),
  );
});

test("a batch that nobody waits for any more is abandoned, and the next one goes on", async () => {
  const cluster = new FakeCluster();
  const writer = await producerOf(cluster).topic("t", options);
  cluster.hold();
  const controller = new AbortController();
  const given = writer.send([record("a")], controller.signal);
  await until("the batch is under way", () => cluster.underWay === 1);
  const next = writer.send([record("b")], signal);
  controller.abort(new Error("stop"));
  await assert.rejects(given, /stop/);
  await until("it was abandoned", () => cluster.abandoned > 0);
  cluster.release();
  await next;
  assert.deepEqual(cluster.tried.map(textOf), ["a", "b"]);
});

test("calls above what may wait take their turn", async () => {
  const cluster = new FakeCluster();
  const writer = await producerOf(cluster, 20_000_000).topic("t", options);
  cluster.hold();
  const large = Buffer.alloc(15_000_000);
  const sends = Array.from({ length: 8 }, (_, n) => writer.send([outgoingRecord(undefined, large, n, undefined)], signal));
  let settled = 0;
  for (const sent of sends) void sent.then(() => settled++);
  await until("the first is under way", () => cluster.underWay === 1);
  cluster.release();
  await Promise.all(sends);
  assert.equal(settled, 8);
  assert.deepEqual(
    cluster.tried.flat().map(({ time }) => time),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
});

test("a topic that can't be written to holds up no other", async () => {
  const cluster = new FakeCluster(([first]) => (first?.time === 1 ? { kind: "again", reason: "too few replicas" } : WRITTEN));
  cluster.topics.set("other", 1);
  const producer = producerOf(cluster, 20_000_000);
  const [stuck, other] = [await producer.topic("t", options), await producer.topic("other", options)];
  const controller = new AbortController();
  const large = Buffer.alloc(15_000_000);
  const sends = Array.from({ length: 8 }, () => stuck.send([outgoingRecord(undefined, large, 1, undefined)], controller.signal));
  await other.send([outgoingRecord(undefined, "a", 2, undefined)], signal);
  controller.abort(new Error("stop"));
  for (const sent of sends) await assert.rejects(sent, /stop/);
});

test("a missing topic is named; one that was asked for is made", async () => {
  const cluster = new FakeCluster();
  cluster.topics.clear();
  const producer = producerOf(cluster);
  await assert.rejects(producer.topic("t", options), (error) => error instanceof NotReadyError && /"t" does not exist/.test(error.message));
  await (await producer.topic("t", { ...options, create: { partitions: 2 } })).send([record("a")], signal);
  assert.deepEqual(cluster.batches, ["a"]);
});

test("closing waits for what is under way", async () => {
  const cluster = new FakeCluster();
  const producer = producerOf(cluster);
  const writer = await producer.topic("t", options);
  cluster.hold();
  const sent = writer.send([record("a")], signal);
  const closed = producer[Symbol.asyncDispose]();
  await until("the batch is under way", () => cluster.underWay === 1);
  assert.equal(cluster.closed, false);
  cluster.release();
  await closed;
  await sent;
  assert.equal(cluster.closed, true);
});

function producerOf(client: ProducerClient, maxMessageBytes = 1_000_000): BatchingProducer {
  return new BatchingProducer(client, { compression: "none", maxMessageBytes });
}

function record(value: string): OutgoingRecord {
  return outgoingRecord(undefined, value, 1, undefined);
}

function recordsOf(values: string): readonly OutgoingRecord[] {
  return values.split("").map(record);
}

function textOf(records: readonly OutgoingRecord[]): string {
  return records.map(({ value }) => String(value)).join("");
}

/** A cluster in memory that answers as it is told. */
class FakeCluster implements ProducerClient {
  readonly maxBatchRecords = 1000;
  readonly topics = new Map([["t", 1]]);
  /** Every attempt. */
  readonly tried: (readonly OutgoingRecord[])[] = [];
  /** The values of each batch that was written. */
  readonly batches: string[] = [];
  underWay = 0;
  abandoned = 0;
  closed = false;
  readonly #answerTo: (records: readonly OutgoingRecord[]) => Outcome;
  readonly #answers: Outcome[] = [];
  #gate = Promise.withResolvers<void>();

  constructor(answerTo: (records: readonly OutgoingRecord[]) => Outcome = () => WRITTEN) {
    this.#answerTo = answerTo;
    this.release();
  }

  /** From here on nothing is answered until `release`. */
  hold(): void {
    this.#gate = Promise.withResolvers();
  }

  release(): void {
    this.#gate.resolve();
  }

  /** The next answers, whatever is sent. */
  answer(...outcomes: Outcome[]): void {
    this.#answers.push(...outcomes);
  }

  partitions(topic: string): Promise<number | undefined> {
    return Promise.resolve(this.topics.get(topic));
  }

  createTopic(topic: string, { partitions }: { partitions?: number | undefined }): Promise<void> {
    this.topics.set(topic, partitions ?? 1);
    return Promise.resolve();
  }

  writer(): PartitionWriter {
    return {
      send: async (records) => {
        this.tried.push(records);
        this.underWay++;
        await this.#gate.promise;
        this.underWay--;
        const outcome = this.#answers.shift() ?? this.#answerTo(records);
        if (outcome.kind === "written") this.batches.push(textOf(records));
        return outcome;
      },
      abandon: () => void this.abandoned++,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}
