import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";

import { NO_WATERMARK } from "../../src/batch.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { KafkaConnection } from "../../src/connections.ts";
import { DataError, InfrastructureError, NotReadyError } from "../../src/errors.ts";
import { CODECS } from "../../src/kafka/codecs.ts";
import type { ConsumerSettings } from "../../src/kafka/consumer.ts";
import { consumerSettings, Reader, type ReaderOptions } from "../support/kafka-reader.ts";
import { committedPositions, deleteBefore, numbered, produce, setPositions, Transactions } from "../support/kafka-records.ts";
import { deleteTopic, KAFKA_CLIENTS, kafkaConnection, makeTopic, silent, uniqueName } from "../support/kafka-topics.ts";
import { kafka, kcat } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const address = await kafka();

/** A clock that goes ten times as fast. */
const hasty: Clock = {
  ...systemClock,
  elapsed: () => systemClock.elapsed() * 10,
  after: (ms, callback) => systemClock.after(ms / 10, callback),
};

/** Numbers as texts, from `first` to before `end`. */
function range(first: number, end: number, prefix = ""): string[] {
  return Array.from({ length: end - first }, (_, index) => `${prefix}${first + index}`);
}

for (const client of KAFKA_CLIENTS) {
  const open = (t: TestContext, topic: string, settings: Partial<ConsumerSettings> = {}, options: ReaderOptions = {}): Reader => {
    const reader = new Reader(kafkaConnection(address, client), consumerSettings(topic, settings), options);
    t.after(() => reader[Symbol.asyncDispose]());
    return reader;
  };

  describe(`the Kafka consumer through ${client}: records`, () => {
    it("gives values, keys, times, headers and tombstones as they are", async (t) => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, [
        { key: "plain", value: "value", timestamp: "1700000000123" },
        { key: "ключ-🔑", value: null, timestamp: "1" },
        { value: "", key: "" },
        { key: null, value: "no key", headers: { a: ["1", "2"], b: Buffer.from([0xff, 0x00]), empty: "" } },
      ]);
      const reader = open(t, topic);
      await until("all are read", () => reader.count === 4);
      const events = reader.events.get(`${topic}/0`) ?? [];
      assert.deepEqual(reader.texts(`${topic}/0`), ["value", null, "", "no key"]);
      assert.ok(events[0]?.value instanceof Uint8Array);
      assert.deepEqual(
        events.map(({ key }) => key),
        ["plain", "ключ-🔑", "", undefined],
      );
      assert.equal(events[0]?.time, 1_700_000_000_123);
      assert.equal(events[1]?.time, 1);
      assert.equal(events[0]?.headers, undefined);
      const headers = events[3]?.headers?.map(([name, value]) => [name, Buffer.from(value).toString("latin1")]);
      assert.deepEqual(headers, [
        ["a", "1"],
        ["a", "2"],
        ["b", "\u00FF\u0000"],
        ["empty", ""],
      ]);
      assert.deepEqual(events[0]?.origin, { system: "kafka", name: topic, partition: 0 });
      assert.ok(
        events.every(({ origin }) => origin === events[0]?.origin),
        "one origin for all",
      );
      assert.deepEqual(
        events.map(({ offset, size, watermark }) => [offset, size, watermark]),
        [
          [0, 10, NO_WATERMARK],
          [1, Buffer.byteLength("ключ-🔑"), NO_WATERMARK],
          [2, 0, NO_WATERMARK],
          [3, 6, NO_WATERMARK],
        ],
      );
    });

    it("keeps headers in their order, with repeats", async (t) => {
      const topic = await makeTopic(address, 1);
      const kcatRun = run(await kcat(), ["-b", address, "-P", "-t", topic, "-H", "z=1", "-H", "a=2", "-H", "z=3"]);
      kcatRun.child.stdin?.end("value\n");
      await kcatRun;
      const reader = open(t, topic);
      await until("it is read", () => reader.count === 1);
      const headers = reader.events.get(`${topic}/0`)?.[0]?.headers?.map(([name, value]) => `${name}=${Buffer.from(value).toString()}`);
      assert.deepEqual(headers, ["z=1", "a=2", "z=3"]);
    });

    it("takes the broker's time where the topic says so", async (t) => {
      const topic = await makeTopic(address, 1, { "message.timestamp.type": "LogAppendTime" });
      const before = Date.now();
      await produce(address, topic, 0, [{ value: "x", timestamp: "1" }]);
      const reader = open(t, topic);
      await until("it is read", () => reader.count === 1);
      const time = reader.events.get(`${topic}/0`)?.[0]?.time ?? 0;
      assert.ok(time >= before - 1000 && time <= Date.now() + 1000, `${time} is about now`);
    });

    for (const codec of CODECS) {
      it(`reads ${codec}`, async (t) => {
        const topic = await makeTopic(address, 1);
        const lines = range(0, 3000, "some value that can be compressed ");
        const kcatRun = run(await kcat(), [
          "-b",
          address,
          "-P",
          "-t",
          topic,
          "-z",
          codec,
          "-X",
          "linger.ms=20",
          "-X",
          "batch.num.messages=700",
          "-X",
          "enable.idempotence=true",
        ]);
        kcatRun.child.stdin?.end(lines.join("\n"));
        await kcatRun;
        const reader = open(t, topic);
        await until("all are read", () => reader.count === 3000);
        assert.deepEqual(reader.texts(`${topic}/0`), lines);
      });
    }

    it("ends a partition at a key that is no UTF-8, behind what is before it, and takes it as latin1 when told to", async (t) => {
      const topic = await makeTopic(address, 1);
      const key = Buffer.from([0x66, 0xfc, 0x72]);
      await produce(address, topic, 0, [...numbered(10), { key, value: "bad" }, ...numbered(5)]);
      const reader = open(t, topic);
      await until("the partition fails", () => reader.failures.size === 1);
      assert.deepEqual(reader.texts(`${topic}/0`), range(0, 10));
      const failure = reader.failures.get(`${topic}/0`);
      assert.ok(failure instanceof DataError);
      assert.equal(failure.step, "source");
      assert.equal(failure.place?.offset, 10);
      assert.match(failure.message, new RegExp(`kafka ${topic}/0@10.*not valid UTF-8.*keyEncoding: "latin1"`));
      await reader.stop();
      assert.equal((await committedPositions(address, `test-${topic}`, topic)).get(0), 10);

      const other = open(t, topic, { group: uniqueName("g"), keyEncoding: "latin1" });
      await until("all are read", () => other.count === 16);
      assert.equal(other.events.get(`${topic}/0`)?.[10]?.key, "für");
    });

    it("yields batches of at most 256 events, and empty ones while nothing comes", async (t) => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, numbered(5000));
      const sizes: number[] = [];
      const positions: number[] = [];
      const reader = open(
        t,
        topic,
        {},
        {
          work: async (_, { events, position }) => {
            sizes.push(events.length);
            positions.push(position);
            await Promise.resolve();
          },
          clock: hasty,
        },
      );
      await until("an empty batch comes", () => reader.count === 5000 && sizes.at(-1) === 0);
      assert.equal(reader.count, 5000);
      assert.equal(Math.max(...sizes), 256);
      assert.equal(positions.at(-1), 5000);
      assert.deepEqual(
        positions,
        positions.toSorted((a, b) => a - b),
      );
    });
  });

  describe(`the Kafka consumer through ${client}: where it begins`, () => {
    it("begins at the earliest or latest record, at the committed position, and exactly where it is told", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(100));
      const earliest = open(t, topic, { group: uniqueName("g") });
      const latest = open(t, topic, { group: uniqueName("g"), from: "latest" });
      await until("the latest begins", () => latest.open.size === 2);
      await until("its positions are known", async () => (await latest.lag()) !== undefined);
      const group = uniqueName("g");
      await setPositions(address, group, topic, [30, 70]);
      const committed = open(t, topic, { group });
      const told = open(t, topic, { group: uniqueName("g") }, { from: (name) => (name === `${topic}/0` ? 5 : 99) });
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(10, { first: 100 }));
      await until("earliest reads all", () => earliest.count === 220);
      await until("committed reads the rest", () => committed.count === 80 + 40);
      await until("told reads the rest", () => told.count === 105 + 11);
      await until("latest reads what is new", () => latest.count === 20);
      assert.deepEqual(committed.texts(`${topic}/0`), range(30, 110));
      assert.deepEqual(committed.texts(`${topic}/1`), range(70, 110));
      assert.deepEqual(told.texts(`${topic}/0`), range(5, 110));
      assert.deepEqual(told.texts(`${topic}/1`), range(99, 110));
      assert.deepEqual(latest.texts(`${topic}/1`), range(100, 110));
    });

    it("goes on where it began at the latest record, though nothing had come", async (t) => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, numbered(2));
      const first = open(t, topic, { from: "latest" });
      await until("it waits at the end", async () => (await first.lag()) === 0);
      await first.stop();
      await produce(address, topic, 0, numbered(3, { first: 2 }));
      const second = open(t, topic, { from: "latest" });
      await until("it reads what came meanwhile", () => second.count === 3);
    });

    it("goes on where it stopped, without a repeat", async (t) => {
      const topic = await makeTopic(address, 3);
      for (const partition of [0, 1, 2]) await produce(address, topic, partition, numbered(20_000));
      const first = open(t, topic, {}, { work: () => new Promise((resolve) => setTimeout(resolve, 40)) });
      await until("some are read", () => first.count > 5000);
      await first.stop();
      assert.ok(first.count < 60_000);
      const second = open(t, topic);
      await until("the rest is read", () => second.count === 60_000 - first.count);
      for (const name of [0, 1, 2].map((partition) => `${topic}/${partition}`)) {
        assert.deepEqual([...first.texts(name), ...second.texts(name)], range(0, 20_000));
      }
      await second.stop();
      assert.deepEqual([...(await committedPositions(address, `test-${topic}`, topic)).values()], [20_000, 20_000, 20_000]);
    });

    it("tells how far behind it is", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(2000));
      let go = () => {};
      const gate = new Promise<void>((resolve) => (go = resolve));
      const reader = open(t, topic, {}, { work: () => gate });
      await until("it has looked", async () => (await reader.lag()) === 4000);
      go();
      await until("it has caught up", async () => (await reader.lag()) === 0);
    });

    it("reads without a group, and leaves no trace", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(500));
      const group = uniqueName("g");
      const member = open(t, topic, { group });
      await until("the group has read all", () => member.count === 1000);
      const alone = open(t, topic, { group: undefined });
      await until("all are read again", () => alone.count === 1000);
      await alone.stop();
      assert.deepEqual(member.lost, []);
      assert.equal(member.open.size, 2);
    });
  });

  describe(`the Kafka consumer through ${client}: limits`, () => {
    it("lets a stalled partition hold up no other, and hold no more than its limit", async (t) => {
      const topic = await makeTopic(address, 4);
      for (const partition of [0, 1, 2, 3]) await produce(address, topic, partition, numbered(20_000, { size: 1000 }));
      const stalled = `${topic}/0`;
      let go = () => {};
      const gate = new Promise<void>((resolve) => (go = resolve));
      const before = process.memoryUsage();
      let peak = 0;
      const reader = open(
        t,
        topic,
        {},
        {
          work: async ({ name }) => {
            const { rss } = process.memoryUsage();
            peak = Math.max(peak, rss);
            if (name === stalled) await gate;
          },
        },
      );
      await until("the others are read", () => reader.count === 60_000);
      assert.equal(reader.texts(stalled).length, 0);
      // 60 MB were read in full and are kept here by the reader; what waits for the stalled one is 1 MiB and its batch.
      for (const events of reader.events.values()) events.length = 0;
      assert.ok(peak - before.rss < 400_000_000, `${Math.round((peak - before.rss) / 1e6)} MB more`);
      go();
      await until("the stalled one goes on", () => reader.count === 20_000);
      assert.deepEqual(
        reader.texts(stalled).map((text) => Number.parseInt(text ?? "", 10)),
        range(0, 20_000).map(Number),
      );
    });

    it("reads a record that is larger than the limit, and those behind it, in each of several partitions", async (t) => {
      const topic = await makeTopic(address, 3, { "max.message.bytes": "4000000" });
      for (const partition of [0, 1, 2]) {
        await produce(address, topic, partition, [{ value: "x".repeat(900_000) }]);
        await produce(address, topic, partition, numbered(10));
      }
      const reader = open(t, topic, { maxWaiting: 65_536 });
      await until("all are read", () => reader.count === 33);
      for (const partition of [0, 1, 2]) assert.deepEqual(reader.texts(`${topic}/${partition}`).slice(1), range(0, 10));
    });
  });

  describe(`the Kafka consumer through ${client}: transactions`, () => {
    it("gives no record of an aborted transaction, whatever is fetched together", async (t) => {
      const topic = await makeTopic(address, 1);
      const [one, two] = [await Transactions.open(address), await Transactions.open(address)];
      t.after(async () => {
        await one[Symbol.asyncDispose]();
        await two[Symbol.asyncDispose]();
      });
      const expected: string[] = [];
      for (let round = 0; round < 4; round++) {
        // One producer aborts several times, and commits in between; another's transaction lies across it.
        const across = await two.begin(topic, 0, [{ value: `across-${round}-a` }]);
        await one.write(topic, 0, numbered(5, { prefix: `aborted-${round}-`, size: 20_000 }), "abort");
        await one.write(topic, 0, numbered(3, { prefix: `committed-${round}-` }), "commit");
        await produce(address, topic, 0, [{ value: `plain-${round}` }]);
        await one.write(topic, 0, numbered(2, { prefix: `aborted-again-${round}-`, size: 30_000 }), "abort");
        if (round % 2 === 0) {
          await across.commit();
          expected.push(`across-${round}-a`);
        } else await across.abort();
        expected.push(...range(0, 3, `committed-${round}-`), `plain-${round}`);
      }
      // With the smallest of fetches a marker comes in another reply than the records that it ends.
      for (const maxWaiting of [65_536, 16_384, 1_048_576]) {
        const reader = open(t, topic, { group: uniqueName("g"), maxWaiting });
        await until("all that is committed is read", () => reader.count >= expected.length);
        await until("the position passes the last marker", async () => (await reader.lag()) === 0);
        assert.deepEqual(reader.texts(`${topic}/0`), expected);
        await reader.stop();
      }
    });

    it("waits for a transaction that is open, and goes past control records", async (t) => {
      const topic = await makeTopic(address, 1);
      const transactions = await Transactions.open(address);
      t.after(() => transactions[Symbol.asyncDispose]());
      await produce(address, topic, 0, [{ value: "before" }]);
      const pending = await transactions.begin(topic, 0, [{ value: "inside" }]);
      await produce(address, topic, 0, [{ value: "after" }]);
      const reader = open(t, topic);
      await until("the first is read", () => reader.count === 1);
      await pending.commit();
      await until("all are read", () => reader.count === 3);
      assert.deepEqual(reader.texts(`${topic}/0`), ["before", "inside", "after"]);
      await transactions.write(topic, 0, [{ value: "never" }], "abort");
      // Three records and a marker, one more record and its marker.
      const group = `test-${topic}`;
      await until("the position is behind the markers", async () => (await committedPositions(address, group, topic)).get(0) === 6);
      assert.equal(reader.count, 3);
    });
  });

  describe(`the Kafka consumer through ${client}: what is not in the log`, () => {
    it("tells of a position below the log's start, and how many were lost, while other partitions go on", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(100));
      const group = uniqueName("g");
      await setPositions(address, group, topic, [10, 0]);
      await deleteBefore(address, topic, 0, 60);
      const reader = open(t, topic, { group });
      await until("the partition fails", () => reader.failures.size === 1);
      await until("the other is read", () => reader.count === 100);
      const failure = reader.failures.get(`${topic}/0`);
      assert.ok(failure instanceof InfrastructureError);
      assert.match(failure.message, new RegExp(`${topic}/0: position 10 is below the log's start 60: 50 offsets .*onOutOfRange`));
      await produce(address, topic, 1, numbered(5));
      await until("the other goes on", () => reader.texts(`${topic}/1`).length === 105);
    });

    it("tells of a position above the log's end", async (t) => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, numbered(100));
      const reader = open(t, topic, {}, { from: () => 500 });
      await until("the partition fails", () => reader.failures.size === 1);
      assert.match(String(reader.failures.get(`${topic}/0`)), /position 500 is 400 above the log's end 100/);
      assert.equal(reader.count, 0);
    });

    for (const [onOutOfRange, first] of [
      ["earliest", 60],
      ["latest", 100],
    ] as const) {
      it(`goes on at the ${onOutOfRange} record when it is told to, and says so`, async (t) => {
        const topic = await makeTopic(address, 1);
        await produce(address, topic, 0, numbered(100));
        const group = uniqueName("g");
        await setPositions(address, group, topic, [10]);
        await deleteBefore(address, topic, 0, 60);
        const errors: object[] = [];
        const logger = { ...silent, error: (fields: object) => errors.push(fields) };
        const reader = open(t, topic, { group, onOutOfRange }, { logger });
        await until("it is reported", () => errors.length === 1);
        await produce(address, topic, 0, numbered(5, { first: 100 }));
        await until("it goes on", () => reader.count === 105 - first);
        assert.deepEqual(reader.texts(`${topic}/0`), range(first, 105));
        assert.deepEqual(errors, [{ partition: `${topic}/0`, position: 10, first: 60, end: 100, gap: 50, next: first }]);
      });
    }

    it("names a topic that is missing, and makes it only when it is told to", async (t) => {
      const missing = uniqueName("missing");
      const reader = open(t, missing);
      await assert.rejects(
        reader.ended,
        (error) => error instanceof NotReadyError && error.message.includes(`"${missing}" does not exist`),
      );
      const again = open(t, missing);
      await assert.rejects(again.ended, NotReadyError, "asking has not made it");

      const made = open(t, missing, { create: { partitions: 3 } });
      await until("its partitions are assigned", () => made.open.size === 3);
      await produce(address, missing, 2, numbered(3));
      await until("it is read", () => made.count === 3);
    });

    it("gives up a topic that was deleted while it was read", async (t) => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, numbered(3));
      const reader = open(t, topic);
      await until("it is read", () => reader.count === 3);
      await deleteTopic(address, topic);
      await assert.rejects(reader.ended, (error) => error instanceof NotReadyError && error.message.includes(`"${topic}" does not exist`));
    });

    it("takes no position of a topic that was deleted over into one that was made anew with fewer partitions", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(2000));
      const gate = Promise.withResolvers<void>();
      const reader = open(t, topic, {}, { work: () => gate.promise });
      await until("it has its partitions", () => reader.open.size === 2);
      await deleteTopic(address, topic);
      await until("the name is free", () => makeTopic(address, 1, {}, topic));
      await produce(address, topic, 0, numbered(3));
      gate.resolve();
      await until("both fail", () => reader.failures.size === 2 && reader.open.size === 0);
      assert.match(String(reader.failures.get(`${topic}/0`)), /was deleted and made anew/);
      await reader.stop();
      assert.deepEqual(Object.fromEntries(await committedPositions(address, `test-${topic}`, topic)), { 0: 0 });
    });
  });

  describe(`the Kafka consumer through ${client}: brokers that are not there`, () => {
    const waits = async (t: TestContext, connection: KafkaConnection): Promise<string> => {
      const warnings: string[] = [];
      const logger = { ...silent, warn: (_: object, message: string) => warnings.push(message) };
      const reader = new Reader(connection, consumerSettings("any"), { logger });
      t.after(() => reader[Symbol.asyncDispose]());
      await until("it says why it waits", () => reader.waiting.length > 0);
      assert.equal(warnings.length, 1);
      // It can be stopped while it waits.
      await reader.stop();
      return reader.waiting[0] ?? "";
    };

    it("waits for a broker that refuses", async (t) => {
      assert.match(await waits(t, kafkaConnection("127.0.0.1:1", client)), /Kafka \(127\.0\.0\.1:1\): connection refused/);
    });

    it("says that a name does not resolve", async (t) => {
      assert.match(
        await waits(t, kafkaConnection("no-such-host.invalid:9092", client)),
        /host name no-such-host\.invalid does not resolve/,
      );
    });
  });
}
