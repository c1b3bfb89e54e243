import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { after, before, describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import type { KafkaConnection } from "../../src/connections.ts";
import type { MemberReport } from "../support/kafka-member.ts";
import { consumerSettings, Reader, type ReaderOptions } from "../support/kafka-reader.ts";
import { committedPositions, numbered, produce } from "../support/kafka-records.ts";
import { KAFKA_CLIENTS, kafkaConnection, makeTopic, silent } from "../support/kafka-topics.ts";
import { type KafkaService, startKafka } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const MEMBER = fileURLToPath(new URL("../support/kafka-member.ts", import.meta.url));

let service: KafkaService;

before(async () => {
  // Compaction at once, where a topic asks for it.
  service = await startKafka({ properties: { "log.cleaner.backoff.ms": "200" } });
});

after(async () => {
  await service[Symbol.asyncDispose]();
});

function upTo(end: number): number[] {
  return Array.from({ length: end }, (_, index) => index);
}

function open(t: TestContext, client: KafkaConnection["client"], topic: string, options: ReaderOptions = {}): Reader {
  const reader = new Reader(kafkaConnection(service.address, client), consumerSettings(topic), options);
  t.after(() => reader[Symbol.asyncDispose]());
  return reader;
}

/** A member in a process of its own, with what it read. */
class Member {
  readonly values = new Map<string, number[]>();
  errors = "";
  readonly #child: ChildProcess;

  constructor(t: TestContext, client: string, topic: string) {
    this.#child = fork(MEMBER, [service.address, client, topic], { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.errors += chunk.toString()));
    this.#child.on("message", ({ partition = "", values = [] }: MemberReport) => {
      this.values.set(partition, [...(this.values.get(partition) ?? []), ...values]);
    });
    t.after(() => this.kill());
  }

  get count(): number {
    return [...this.values.values()].reduce((sum, { length }) => sum + length, 0);
  }

  hang(ms: number): void {
    this.#child.send({ hang: ms });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Asserts that some readers have read every number of a partition. @returns how many were read more than once */
function complete(read: readonly number[], end: number): number {
  assert.deepEqual(
    [...new Set(read)].toSorted((a, b) => a - b),
    upTo(end),
  );
  return read.length - end;
}

for (const client of KAFKA_CLIENTS) {
  describe(`the Kafka consumer through ${client}, when things go wrong`, () => {
    it("reads on when its broker was killed and is back, without a gap or a repeat", async (t) => {
      const topic = await makeTopic(service.address, 3);
      for (const partition of [0, 1, 2]) await produce(service.address, topic, partition, numbered(20_000));
      const warnings: string[] = [];
      const logger = { ...silent, warn: (_: object, message: string) => warnings.push(message) };
      const reader = open(t, client, topic, { logger, work: () => new Promise((resolve) => setTimeout(resolve, 50)) });
      await until("some are read", () => reader.count > 5000);
      await service.kill();
      await until("it says that it waits", () => reader.waiting.length > 0);
      await service.restart();
      await until("it says that it goes on", () => reader.waiting.at(-1) === undefined && reader.waiting.length > 1, { timeout: 60_000 });
      for (const partition of [0, 1, 2]) await produce(service.address, topic, partition, numbered(100, { first: 20_000 }));
      await until("all are read", () => reader.count >= 60_300, { timeout: 60_000 });
      for (const partition of [0, 1, 2]) assert.deepEqual(reader.texts(`${topic}/${partition}`).map(Number), upTo(20_100));
      assert.match(warnings[0] ?? "", /waits: Kafka/);
      await reader.stop();
      assert.deepEqual([...(await committedPositions(service.address, `test-${topic}`, topic)).values()], [20_100, 20_100, 20_100]);
    });

    it("reads on when its broker was frozen for longer than its session", async (t) => {
      const topic = await makeTopic(service.address, 2);
      for (const partition of [0, 1]) await produce(service.address, topic, partition, numbered(10_000));
      const reader = open(t, client, topic, { work: () => new Promise((resolve) => setTimeout(resolve, 20)) });
      await until("some are read", () => reader.count > 3000);
      const frozen = performance.now();
      await service.freeze();
      await until("requests time out", () => reader.waiting.length > 0 && performance.now() - frozen > 12_000);
      await service.thaw();
      for (const partition of [0, 1]) await produce(service.address, topic, partition, numbered(100, { first: 10_000 }));
      const read = (partition: number) => new Set(reader.texts(`${topic}/${partition}`)).size;
      await until("all are read", () => read(0) === 10_100 && read(1) === 10_100, { timeout: 60_000 });
      // What the broker forgot about while it was frozen may be read again; nothing may be missing.
      for (const partition of [0, 1]) complete(reader.texts(`${topic}/${partition}`).map(Number), 10_100);
    });

    it("takes over from a member that was killed", async (t) => {
      const topic = await makeTopic(service.address, 2);
      const reader = open(t, client, topic);
      const member = new Member(t, client, topic);
      await until("they share", () => reader.open.size === 1);
      let produced = 0;
      const produceMore = async () => {
        for (const partition of [0, 1]) await produce(service.address, topic, partition, numbered(500, { first: produced }));
        produced += 500;
      };
      await produceMore();
      await until("the member reads", () => member.count === 500);
      await produceMore();
      const killed = performance.now();
      member.kill();
      await until("the reader takes over", () => reader.open.size === 2);
      const took = performance.now() - killed;
      assert.ok(took < 10_000, `took over after ${Math.round(took)} ms of a session of 6,000`);
      await produceMore();
      const read = (partition: number) => {
        const name = `${topic}/${partition}`;
        return [...reader.texts(name).map(Number), ...(member.values.get(name) ?? [])];
      };
      await until("all are read", () => [0, 1].every((partition) => new Set(read(partition)).size === produced));
      const repeats = complete(read(0), produced) + complete(read(1), produced);
      assert.ok(repeats <= 1000, `${repeats} were repeated: at most what was read since the last commit, a second ago`);
      assert.doesNotMatch(member.errors, /Warning/);
    });

    it("lets a member that hung for longer than its session write no position, and takes it back", async (t) => {
      const topic = await makeTopic(service.address, 2);
      const group = `test-${topic}`;
      const reader = open(t, client, topic);
      const member = new Member(t, client, topic);
      await until("they share", () => reader.open.size === 1);
      for (const partition of [0, 1]) await produce(service.address, topic, partition, numbered(5000));
      await until("the member reads", () => member.count > 0);
      member.hang(9000);
      await until("the reader takes over", () => reader.open.size === 2);
      for (const partition of [0, 1]) await produce(service.address, topic, partition, numbered(1000, { first: 5000 }));
      // It may be that the member has read, but not committed, the last of its partition.
      await until("the reader has read all", () => reader.count + member.count >= 12_000);
      const positions = () => committedPositions(service.address, group, topic);
      await until("its positions are written", async () => [...(await positions()).values()].every((position) => position === 6000));
      const back = () => reader.open.size === 1;
      await until("the member is back", async () => {
        // Meanwhile it must not have put a position back.
        assert.deepEqual([...(await positions()).values()], [6000, 6000]);
        return back();
      });
      const before = member.count;
      for (const partition of [0, 1]) await produce(service.address, topic, partition, numbered(100, { first: 6000 }));
      await until("the member reads again", () => member.count === before + 100);
      const read = (partition: number) => {
        const name = `${topic}/${partition}`;
        return [...reader.texts(name).map(Number), ...(member.values.get(name) ?? [])];
      };
      await until("the reader reads the rest", () => [0, 1].every((partition) => read(partition).includes(6099)));
      for (const partition of [0, 1]) complete(read(partition), 6100);
    });

    it("passes the gaps of a compacted topic, also when it begins inside one", async (t) => {
      const configs = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "100",
      };
      const topic = await makeTopic(service.address, 1, configs);
      for (let round = 0; round < 5; round++) await produce(service.address, topic, 0, numbered(100, { first: round * 100 }));
      // Each round has the same ten keys; the active segment is never compacted.
      const key = () => ({ key: "last", value: String(Date.now()) });
      const early = await until("old records are gone", async () => {
        await produce(service.address, topic, 0, [key()]);
        const reader = new Reader(kafkaConnection(service.address, client), consumerSettings(topic, { group: undefined }));
        try {
          await until("it is read to the end", async () => (await reader.lag()) !== undefined && reader.count > 0);
          await until("it is read to the end", async () => (await reader.lag()) !== undefined && reader.texts(`${topic}/0`).length > 5);
          const offsets = reader.events.get(`${topic}/0`)?.map(({ offset }) => offset) ?? [];
          return (offsets[0] ?? 0) > 400 ? offsets : undefined;
        } finally {
          await reader[Symbol.asyncDispose]();
        }
      });
      assert.ok(early.length < 100);
      const inside = open(t, client, topic, { from: () => 250 });
      await until("it begins at the next record that there is", () => (inside.events.get(`${topic}/0`)?.length ?? 0) > 0);
      assert.ok((inside.events.get(`${topic}/0`)?.[0]?.offset ?? 0) > 400);
      await until("the position reaches the end", async () => (await inside.lag()) === 0);
    });
  });
}
