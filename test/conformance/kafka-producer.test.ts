import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";

import type { KafkaConnection } from "../../src/connections.ts";
import { NotReadyError } from "../../src/errors.ts";
import { CODECS } from "../../src/kafka/codecs.ts";
import { createProducer } from "../../src/kafka/create-producer.ts";
import { outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import { type KafkaProducer, type ProducerSettings, RecordRefusedError, type TopicWriter } from "../../src/kafka/producer.ts";
import { KAFKA_CLIENTS, kafkaConnection, makeTopic, readAll, silent, uniqueName } from "../support/kafka-topics.ts";
import { kafka, kcat } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const address = await kafka();
const signal = AbortSignal.timeout(120_000);

for (const client of KAFKA_CLIENTS) {
  describe(`the Kafka producer through ${client}`, () => {
    it("writes keys, values, tombstones, headers and timestamps as they are", async (t) => {
      const topic = await makeTopic(address, 1);
      const writer = await open(t, client, topic);
      const before = Date.now();
      await writer.send(
        [
          outgoingRecord("key", "value", 1000, [
            ["a", "1"],
            ["b", Buffer.from("ü")],
            ["a", "2"],
          ]),
          outgoingRecord("ключ-🔑", "значение", 999, undefined),
          outgoingRecord("key", null, 1_700_000_000_123.9, undefined),
          outgoingRecord(undefined, Buffer.from([0x7b, 0x7d]), Number.NaN, undefined),
          outgoingRecord("", "", 0, []),
          outgoingRecord(Buffer.from("bytes"), "x".repeat(300), 1, undefined),
        ],
        signal,
      );
      const read = await readAll(address, topic);
      assert.deepEqual(
        read.map(({ key, payload }) => [key, payload]),
        [
          ["key", "value"],
          ["ключ-🔑", "значение"],
          ["key", null],
          [null, "{}"],
          ["", ""],
          ["bytes", "x".repeat(300)],
        ],
      );
      assert.deepEqual(
        read.map(({ ts }) => ts).filter((_, index) => index !== 3),
        [1000, 999, 1_700_000_000_123, 0, 1],
      );
      const now = read[3]?.ts ?? 0;
      assert.ok(now >= before && now <= Date.now(), "a record without a time has the time of sending");
      // kafkajs sends the values of one name together.
      const pairs = client === "kafkajs" ? ["a", "1", "a", "2", "b", "ü"] : ["a", "1", "b", "ü", "a", "2"];
      assert.deepEqual(read[0]?.headers, pairs);
      assert.equal(read[1]?.headers, undefined);
    });

    it("keeps the order of 200 concurrent calls, first ones included", async (t) => {
      const topic = await makeTopic(address, 1);
      const writer = await open(t, client, topic);
      await Promise.all(sequence(200).map((n) => writer.send([outgoingRecord(undefined, String(n), 1, undefined)], signal)));
      assert.deepEqual(payloads(await readAll(address, topic)), sequence(200).map(String));
    });

    it("keeps the order of each key over partitions", async (t) => {
      const topic = await makeTopic(address, 5);
      const writer = await open(t, client, topic);
      const calls = sequence(60).map((call) =>
        sequence(20).map((n) => outgoingRecord(`k${(call + n) % 17}`, String(call * 20 + n), 1, undefined)),
      );
      await Promise.all(calls.map((records) => writer.send(records, signal)));
      const read = await readAll(address, topic);
      assert.equal(read.length, 1200);
      for (const key of new Set(read.map((record) => record.key))) {
        const mine = read.filter((record) => record.key === key);
        assert.equal(new Set(mine.map(({ partition }) => partition)).size, 1, `${key} is in one partition`);
        const numbers = mine.map(({ payload }) => Number(payload));
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        );
      }
    });

    it("puts keys where Java's producer puts them", async (t) => {
      const topic = await makeTopic(address, 7);
      const other = await makeTopic(address, 7);
      const writer = await open(t, client, topic);
      const keys = ["ä", "ключ", "🔑🔑", "0", "x".repeat(300), ...sequence(200).map((n) => `key-${n * 7919}`)];
      await writer.send(
        keys.map((key) => outgoingRecord(key, "v", 1, undefined)),
        signal,
      );
      await writer.send([outgoingRecord("", "v", 1, undefined)], signal);
      // librdkafka's name for the partitioner of Java's producer; it takes an empty key for none.
      await produceByKcat(other, keys, "murmur2_random");
      const byKey = (read: Awaited<ReturnType<typeof readAll>>) => new Map(read.map(({ key, partition }) => [key, partition]));
      const mine = byKey(await readAll(address, topic));
      const theirs = byKey(await readAll(address, other));
      for (const key of keys) assert.equal(mine.get(key), theirs.get(key), `of key ${key}`);
      // Utils.murmur2 of no bytes is 275646681.
      assert.equal(mine.get(""), 275_646_681 % 7);
    });

    it("keeps records without a key together, and changes the partition after a while", async (t) => {
      const topic = await makeTopic(address, 4);
      const writer = await open(t, client, topic);
      const value = "x".repeat(1000);
      for (let call = 0; call < 12; call++)
        await writer.send(
          sequence(10).map(() => outgoingRecord(undefined, value, call, undefined)),
          signal,
        );
      const read = await readAll(address, topic);
      assert.equal(read.length, 120);
      for (let call = 0; call < 12; call++) {
        const partitions = new Set(read.filter(({ ts }) => ts === call).map(({ partition }) => partition));
        assert.equal(partitions.size, 1, "of one call");
      }
      assert.equal(new Set(read.map(({ partition }) => partition)).size, 4, "all are used");
    });

    it("refuses a record above its limit by name, sends nothing of that call, and goes on", async (t) => {
      const topic = await makeTopic(address, 1);
      const writer = await open(t, client, topic, { maxMessageBytes: 10_000 });
      const large = outgoingRecord("k", "x".repeat(10_000), 1, undefined);
      await assert.rejects(writer.send([outgoingRecord("k", "before", 1, undefined), large], signal), (error) => {
        assert.ok(error instanceof RecordRefusedError);
        assert.equal(error.record, large);
        assert.match(error.message, /about 10\d{3} bytes, more than the limit of 10000/);
        return true;
      });
      await writer.send([outgoingRecord("k", "after", 1, undefined)], signal);
      assert.deepEqual(payloads(await readAll(address, topic)), ["after"]);
    });

    it("splits by bytes, measured before compression, and again where the broker takes less", async (t) => {
      const topic = await makeTopic(address, 1, { "max.message.bytes": "20000" });
      const writer = await open(t, client, topic);
      const expected = sequence(10).map((n) => `${n}${"x".repeat(5000)}`);
      await writer.send(
        expected.map((value) => outgoingRecord("k", value, 1, undefined)),
        signal,
      );
      const more = sequence(300).map((n) => `${n}${"y".repeat(1000)}`);
      await writer.send(
        more.map((value) => outgoingRecord("k", value, 1, undefined)),
        signal,
      );
      assert.deepEqual(payloads(await readAll(address, topic)), [...expected, ...more]);
    });

    it("names the record that is too large for the broker, after those before it were written", async (t) => {
      const topic = await makeTopic(address, 1, { "max.message.bytes": "20000" });
      const writer = await open(t, client, topic);
      const records = ["a", "b", "x".repeat(30_000), "c"].map((value) => outgoingRecord("k", value, 1, undefined));
      await assert.rejects(writer.send(records, signal), (error) => {
        assert.ok(error instanceof RecordRefusedError);
        assert.equal(error.record, records[2]);
        assert.match(error.message, /about 30\d{3} bytes, more than the broker takes/);
        return true;
      });
      assert.deepEqual(payloads(await readAll(address, topic)), ["a", "b"]);
      await writer.send([outgoingRecord("k", "d", 1, undefined)], signal);
      assert.deepEqual(payloads(await readAll(address, topic)), ["a", "b", "d"]);
    });

    it("names the record that the broker finds invalid", async (t) => {
      const topic = await makeTopic(address, 1, { "cleanup.policy": "compact" });
      const writer = await open(t, client, topic);
      const records = sequence(9).map((n) => outgoingRecord(n === 6 ? undefined : `k${n}`, "v", 1, undefined));
      await assert.rejects(writer.send(records, signal), (error) => {
        assert.ok(error instanceof RecordRefusedError);
        assert.equal(error.record, records[6]);
        assert.match(error.message, /INVALID_RECORD/);
        return true;
      });
      assert.deepEqual(
        (await readAll(address, topic)).map(({ key }) => key),
        sequence(6).map((n) => `k${n}`),
      );
    });

    it("attributes a failure to its topic", async (t) => {
      const small = await makeTopic(address, 1, { "max.message.bytes": "1000" });
      const large = await makeTopic(address, 1);
      const producer = await openProducer(t, client);
      const toSmall = await openTopic(producer, small);
      const toLarge = await openTopic(producer, large);
      const record = () => outgoingRecord("k", "x".repeat(5000), 1, undefined);
      const [first, second] = await Promise.allSettled([toSmall.send([record()], signal), toLarge.send([record()], signal)]);
      assert.equal(first.status, "rejected");
      assert.equal(second.status, "fulfilled");
      assert.equal((await readAll(address, large)).length, 1);
    });

    it("does not make a missing topic unless it was told to", async (t) => {
      const topic = uniqueName("missing");
      const producer = await openProducer(t, client);
      await assert.rejects(openTopic(producer, topic), (error) => {
        assert.ok(error instanceof NotReadyError);
        assert.ok(error.message.includes(`topic "${topic}" does not exist`), error.message);
        return true;
      });
      await assert.rejects(openTopic(producer, topic), NotReadyError, "the question did not make it");
      const writer = await producer.topic(topic, { create: { partitions: 3 }, signal, waiting: () => undefined });
      await writer.send(
        sequence(50).map((n) => outgoingRecord(`k${n}`, "v", 1, undefined)),
        signal,
      );
      assert.equal(new Set((await readAll(address, topic)).map(({ partition }) => partition)).size, 3);
    });

    for (const compression of CODECS) {
      it(`compresses with ${compression} so that others can read it`, async (t) => {
        // The broker's limit counts after compression, so the large one passes only if it is compressed.
        const topic = await makeTopic(address, 2, { "max.message.bytes": "20000" });
        const writer = await open(t, client, topic, { compression });
        const large = "x".repeat(100_000);
        const values = [...sequence(500).map((n) => `{"reading":${n},"device":"d${n % 10}","unit":"°C"}`), large];
        await writer.send(
          values.map((value, n) => outgoingRecord(`k${n % 10}`, value, n, undefined)),
          signal,
        );
        const read = await readAll(address, topic);
        assert.deepEqual(payloads(read.toSorted((a, b) => a.ts - b.ts)), values);
      });
    }

    it("confirms everything before it closes", async (t) => {
      const topic = await makeTopic(address, 3);
      const producer = await openProducer(t, client);
      const writer = await openTopic(producer, topic);
      const sends = sequence(100).map((n) =>
        writer.send(
          sequence(20).map((m) => outgoingRecord(`k${m}`, String(n), 1, undefined)),
          signal,
        ),
      );
      await producer[Symbol.asyncDispose]();
      await Promise.all(sends);
      assert.equal((await readAll(address, topic)).length, 2000);
    });

    it("gives up what was not sent when its signal aborts, and nothing else", async (t) => {
      const topic = await makeTopic(address, 1);
      const writer = await open(t, client, topic);
      const controller = new AbortController();
      const reason = new Error("enough");
      const kept = writer.send([outgoingRecord("k", "kept", 1, undefined)], signal);
      const given = writer.send([outgoingRecord("k", "given up", 1, undefined)], controller.signal);
      controller.abort(reason);
      await assert.rejects(given, reason);
      await kept;
      await assert.rejects(writer.send([outgoingRecord("k", "late", 1, undefined)], controller.signal), reason);
      await writer.send([outgoingRecord("k", "after", 1, undefined)], signal);
      const read = payloads(await readAll(address, topic));
      assert.deepEqual(
        read.filter((value) => value !== "given up"),
        ["kept", "after"],
      );
    });

    it("waits for a broker that is not there, says so, and stops waiting when told", async (t) => {
      // Nothing listens on port 1.
      const producer = await openProducer(t, client, {}, kafkaConnection("127.0.0.1:1", client));
      const controller = new AbortController();
      const reasons: (string | undefined)[] = [];
      const opening = producer.topic("any", { create: undefined, signal: controller.signal, waiting: (reason) => reasons.push(reason) });
      const rejected = assert.rejects(opening, /stop/);
      await until("it says why it waits", () => reasons.length > 0);
      controller.abort(new Error("stop"));
      await rejected;
      assert.equal(reasons.length, 1);
      assert.match(reasons[0] ?? "", /127\.0\.0\.1:1\b.*refused/);
    });
  });
}

async function openProducer(
  t: TestContext,
  client: KafkaConnection["client"],
  settings: Partial<ProducerSettings> = {},
  connection: KafkaConnection = kafkaConnection(address, client),
): Promise<KafkaProducer> {
  const producer = await createProducer(connection, { compression: "none", maxMessageBytes: 1_000_000, ...settings }, "test", silent);
  t.after(() => producer[Symbol.asyncDispose]());
  return producer;
}

async function openTopic(producer: KafkaProducer, topic: string): Promise<TopicWriter> {
  return await producer.topic(topic, { create: undefined, signal, waiting: () => undefined });
}

async function open(
  t: TestContext,
  client: KafkaConnection["client"],
  topic: string,
  settings: Partial<ProducerSettings> = {},
): Promise<TopicWriter> {
  return await openTopic(await openProducer(t, client, settings), topic);
}

async function produceByKcat(topic: string, keys: readonly string[], partitioner: string): Promise<void> {
  const child = run(await kcat(), ["-b", address, "-P", "-t", topic, "-K", "\t", "-X", `partitioner=${partitioner}`]);
  child.child.stdin?.end(keys.map((key) => `${key}\tv`).join("\n"));
  await child;
}

function sequence(length: number): readonly number[] {
  return Array.from({ length }, (_, n) => n);
}

function payloads(read: readonly { readonly payload: string | null }[]): readonly (string | null)[] {
  return read.map(({ payload }) => payload);
}
