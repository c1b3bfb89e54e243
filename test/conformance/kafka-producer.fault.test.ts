import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";

import type { KafkaConnection, SaslCredentials } from "../../src/connections.ts";
import { NotReadyError } from "../../src/errors.ts";
import { createProducer } from "../../src/kafka/create-producer.ts";
import { outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import type { KafkaProducer } from "../../src/kafka/producer.ts";
import { consumerSettings, Reader } from "../support/kafka-reader.ts";
import { deleteTopic, KAFKA_CLIENTS, kafkaConnection, makeTopic, readAll, silent } from "../support/kafka-topics.ts";
import { type KafkaService, startKafka } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const PASSWORD = "correct horse";
const ended = new AbortController();
/** Aborts when all tests are done, so that one that failed leaves nothing waiting. */
const never = ended.signal;

let service: KafkaService;

before(async () => {
  service = await startKafka({ tls: true, users: { alice: PASSWORD } });
});

after(async () => {
  ended.abort();
  await service[Symbol.asyncDispose]();
});

for (const client of KAFKA_CLIENTS) {
  describe(`the Kafka producer through ${client}, when things go wrong`, () => {
    it("loses, repeats and reorders nothing while its broker is killed and comes back", async (t) => {
      const topic = await makeTopic(service.address, 3);
      const producer = await openProducer(t, kafkaConnection(service.address, client));
      const reasons: (string | undefined)[] = [];
      const writer = await producer.topic(topic, { create: undefined, signal: never, waiting: (reason) => reasons.push(reason) });
      const stop = new AbortController();
      t.after(() => stop.abort());
      let sent = 0;
      const lane = async (key: string) => {
        let n = 0;
        while (!stop.signal.aborted) {
          // Times of today: when it starts, a broker forgets producers whose last records are older than a day.
          const records = Array.from({ length: 5 }, () => outgoingRecord(key, String(n++), Date.now(), undefined));
          await writer.send(records, never);
          sent += records.length;
        }
        return n;
      };
      const lanes = Array.from({ length: 20 }, (_, index) => lane(`k${index}`));
      await until("records flow", () => sent > 1000);
      await service.kill();
      await until("it says that it waits", () => reasons.length === 1);
      await service.restart();
      await until("it says that it goes on", () => reasons.length === 2);
      const atRestart = sent;
      await until("records flow again", () => sent > atRestart + 1000);
      stop.abort();
      const counts = await Promise.all(lanes);
      assert.equal(typeof reasons[0], "string");
      assert.equal(reasons[1], undefined);
      const read = await readAll(service.address, topic);
      for (const [index, count] of counts.entries()) {
        const mine = read.filter(({ key }) => key === `k${index}`).map(({ payload }) => Number(payload));
        assert.deepEqual(
          mine,
          Array.from({ length: count }, (_, n) => n),
          `of key k${index}`,
        );
      }
    });

    it("sits out a frozen broker, and lets go of calls that are given up", async (t) => {
      const topic = await makeTopic(service.address, 1);
      const producer = await openProducer(t, kafkaConnection(service.address, client));
      const reasons: (string | undefined)[] = [];
      const writer = await producer.topic(topic, { create: undefined, signal: never, waiting: (reason) => reasons.push(reason) });
      await writer.send([outgoingRecord("k", "0", 1, undefined)], never);
      await service.freeze();
      const controller = new AbortController();
      const waiting = writer.send([outgoingRecord("k", "1", 1, undefined)], never);
      const givenUp = writer.send([outgoingRecord("k", "given up", 1, undefined)], controller.signal);
      await until("it says that it waits", () => reasons.length === 1);
      controller.abort(new Error("stop"));
      await assert.rejects(givenUp, /stop/);
      await service.thaw();
      await waiting;
      await writer.send([outgoingRecord("k", "2", 1, undefined)], never);
      const read = (await readAll(service.address, topic)).map(({ payload }) => payload);
      assert.deepEqual(
        read.filter((payload) => payload !== "given up"),
        ["0", "1", "2"],
      );
      await until("it says that it goes on", () => reasons.length === 2);
    });

    it("writes on after the only batch under way was given up", async (t) => {
      const topic = await makeTopic(service.address, 1);
      const producer = await openProducer(t, kafkaConnection(service.address, client));
      const reasons: (string | undefined)[] = [];
      const writer = await producer.topic(topic, { create: undefined, signal: never, waiting: (reason) => reasons.push(reason) });
      await writer.send([outgoingRecord("k", "0", 1, undefined)], never);
      await service.freeze();
      const controller = new AbortController();
      const givenUp = writer.send([outgoingRecord("k", "given up", 1, undefined)], controller.signal);
      givenUp.catch(() => undefined);
      await until("it is under way", () => reasons.length === 1);
      // The same count of records: a producer that took a sequence number twice would have the next one taken for an earlier one.
      controller.abort(new Error("stop"));
      await assert.rejects(givenUp, /stop/);
      const next = writer.send([outgoingRecord("k", "1", 1, undefined)], never);
      await service.thaw();
      await next;
      const read = (await readAll(service.address, topic)).map(({ payload }) => payload);
      assert.deepEqual(
        read.filter((payload) => payload !== "given up"),
        ["0", "1"],
      );
    });

    it("says that a topic is gone, and writes again when it is back", async (t) => {
      const topic = await makeTopic(service.address, 1);
      const producer = await openProducer(t, kafkaConnection(service.address, client));
      const writer = await producer.topic(topic, { create: undefined, signal: never, waiting: () => undefined });
      await writer.send([outgoingRecord("k", "0", 1, undefined)], never);
      await deleteTopic(service.address, topic);
      await assert.rejects(writer.send([outgoingRecord("k", "1", 1, undefined)], never), (error) => {
        assert.ok(error instanceof NotReadyError);
        assert.ok(error.message.includes(`"${topic}" does not exist any more`), error.message);
        return true;
      });
      const again = await producer.topic(topic, { create: { partitions: 1 }, signal: never, waiting: () => undefined });
      await again.send([outgoingRecord("k", "2", 1, undefined)], never);
      assert.deepEqual(
        (await readAll(service.address, topic)).map(({ payload }) => payload),
        ["2"],
      );
    });

    it("confirms nothing for a partition that is gone, and fails so that the topic is opened anew", async (t) => {
      const topic = await makeTopic(service.address, 4);
      const producer = await openProducer(t, kafkaConnection(service.address, client));
      const open = () => producer.topic(topic, { create: undefined, signal: never, waiting: () => undefined });
      const records = () => Array.from({ length: 20 }, (_, n) => outgoingRecord(`k${n}`, "v", 1, undefined));
      const writer = await open();
      await writer.send(records(), never);
      await deleteTopic(service.address, topic);
      await until("the name is free", () => makeTopic(service.address, 1, {}, topic));
      await assert.rejects(writer.send(records(), never), NotReadyError);
      const before = (await readAll(service.address, topic)).length;
      await (await open()).send(records(), never);
      assert.equal((await readAll(service.address, topic)).length, before + 20);
    });

    it("writes over TLS, and over SASL with each mechanism, with and without TLS, and the consumer reads so", async (t) => {
      const topic = await makeTopic(service.address, 1);
      const ca = service.tls?.certificates.ca;
      const plain = service.sasl?.address ?? "";
      const secure = service.sasl?.tlsAddress ?? "";
      const sasl = (mechanism: SaslCredentials["mechanism"]) => ({ mechanism, username: "alice", password: PASSWORD });
      const connections: KafkaConnection[] = [
        { ...kafkaConnection(service.tls?.address ?? "", client), ssl: { ca } },
        { ...kafkaConnection(plain, client), sasl: sasl("plain") },
        { ...kafkaConnection(plain, client), sasl: sasl("scram-sha-256") },
        { ...kafkaConnection(plain, client), sasl: sasl("scram-sha-512") },
        { ...kafkaConnection(secure, client), ssl: { ca }, sasl: sasl("scram-sha-256") },
      ];
      for (const [index, connection] of connections.entries()) {
        const reader = new Reader(connection, consumerSettings(topic));
        t.after(() => reader[Symbol.asyncDispose]());
        const producer = await openProducer(t, connection);
        const writer = await producer.topic(topic, { create: undefined, signal: never, waiting: (reason) => assert.fail(reason) });
        await writer.send([outgoingRecord("k", String(index), 1, undefined)], never);
        await until("what was written is read", () => reader.count === index + 1);
        await reader[Symbol.asyncDispose]();
      }
      const read = await readAll(service.address, topic);
      assert.deepEqual(
        read.map(({ payload }) => payload),
        connections.map((_, index) => String(index)),
      );
    });

    it("waits with the reason for credentials and certificates that are refused, and shows no password", async (t) => {
      const wrong: readonly [KafkaConnection, RegExp][] = [
        [
          { ...kafkaConnection(service.sasl?.address ?? "", client), sasl: { mechanism: "plain", username: "alice", password: "hunter2" } },
          /authenticat/i,
        ],
        [
          {
            ...kafkaConnection(service.sasl?.address ?? "", client),
            sasl: { mechanism: "scram-sha-512", username: "alice", password: "hunter2" },
          },
          /authenticat/i,
        ],
        [{ ...kafkaConnection(service.tls?.address ?? "", client), ssl: true }, /certificate/i],
      ];
      for (const [connection, expected] of wrong) {
        const producer = await openProducer(t, connection);
        const controller = new AbortController();
        const reasons: (string | undefined)[] = [];
        const opening = producer.topic("any", { create: undefined, signal: controller.signal, waiting: (reason) => reasons.push(reason) });
        const stopped = assert.rejects(opening, /stop/);
        await until("it says why it waits", () => reasons.length > 0);
        controller.abort(new Error("stop"));
        await stopped;
        assert.match(reasons[0] ?? "", expected);
        assert.ok(!(reasons[0] ?? "").includes("hunter2"));
      }
    });
  });
}

async function openProducer(t: TestContext, connection: KafkaConnection): Promise<KafkaProducer> {
  const producer = await createProducer(connection, { compression: "none", maxMessageBytes: 1_000_000 }, "test", silent);
  // Not awaited: what a failed test left under way settles when all are done.
  t.after(() => void producer[Symbol.asyncDispose]());
  return producer;
}
