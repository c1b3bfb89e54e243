import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";

import { systemClock } from "../../src/clock.ts";
import { OwnershipLostError } from "../../src/errors.ts";
import { type ConsumerSettings, createConsumer, createDriver } from "../../src/kafka/consumer.ts";
import { GroupMember } from "../../src/kafka/group-member.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { consumerSettings, Reader, type ReaderOptions } from "../support/kafka-reader.ts";
import { committedPositions, numbered, produce } from "../support/kafka-records.ts";
import { growTopic, KAFKA_CLIENTS, kafkaConnection, makeTopic, silent } from "../support/kafka-topics.ts";
import { kafka } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const address = await kafka();

/** Settles when it is opened; any number of times. */
class Gate {
  readonly #opened = Promise.withResolvers<void>();

  open(): void {
    this.#opened.resolve();
  }

  pass(): Promise<void> {
    return this.#opened.promise;
  }
}

/** The values of some readers for one partition, sorted by number. */
function all(readers: readonly Reader[], partition: string): number[] {
  return readers.flatMap((reader) => reader.texts(partition).map(Number)).toSorted((a, b) => a - b);
}

function upTo(end: number): number[] {
  return Array.from({ length: end }, (_, index) => index);
}

for (const client of KAFKA_CLIENTS) {
  const open = (t: TestContext, topic: string, settings: Partial<ConsumerSettings> = {}, options: ReaderOptions = {}): Reader => {
    const reader = new Reader(kafkaConnection(address, client), consumerSettings(topic, settings), options);
    t.after(() => reader[Symbol.asyncDispose]());
    return reader;
  };

  /** A member of a group, with which the test speaks the protocol itself. */
  const memberOf = async (t: TestContext, group: string, topic: string): Promise<GroupMember> => {
    const shared = { logger: silent, shared: openSharedResources() };
    const driver = await createDriver(kafkaConnection(address, client), { clientId: "test" }, shared);
    t.after(() => driver[Symbol.asyncDispose]());
    await driver.topics([topic]);
    return new GroupMember(driver, { group, topics: [topic], sessionTimeout: 6000, rebalanceTimeout: 6000 });
  };

  describe(`the Kafka consumer through ${client}: sharing partitions`, () => {
    it("loses and repeats nothing while members join and leave under load", async (t) => {
      const topic = await makeTopic(address, 4);
      const names = [0, 1, 2, 3].map((partition) => `${topic}/${partition}`);
      // Slow enough that each rebalance finds work in flight.
      const work = () => new Promise<void>((resolve) => setTimeout(resolve, 5));
      let produced = 0;
      const load = new AbortController();
      const producer = (async () => {
        while (!load.signal.aborted) {
          for (const partition of [0, 1, 2, 3]) await produce(address, topic, partition, numbered(200, { first: produced }));
          produced += 200;
        }
      })();
      t.after(() => load.abort());
      const first = open(t, topic, {}, { work });
      await until("the first reads", () => first.count > 500);
      const second = open(t, topic, {}, { work });
      await until("they share", () => first.open.size === 2 && second.open.size === 2);
      const before = second.count;
      await until("the second reads", () => second.count > before + 500);
      const third = open(t, topic, {}, { work });
      await until("three share", () => third.open.size > 0 && first.open.size + second.open.size + third.open.size === 4);
      await second.stop();
      await until("two share", () => first.open.size === 2 && third.open.size === 2);
      load.abort();
      await producer;
      const readers = [first, second, third];
      await until("all are read", () => readers.reduce((sum, { count }) => sum + count, 0) >= produced * 4);
      for (const name of names) assert.deepEqual(all(readers, name), upTo(produced), `every record of ${name} once`);
      for (const reader of readers) assert.deepEqual(reader.lost, [], "nothing was lost without a drain");
    });

    it("begins exactly at a position of its pipeline's own after each rebalance", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(50_000));
      // What a checkpoint store would hold; nothing is taken from the broker's positions.
      const positions = new Map<string, number>();
      const from = (name: string) => positions.get(name) ?? 0;
      const work: ReaderOptions["work"] = async ({ name }, { position }) => {
        await new Promise((resolve) => setTimeout(resolve, 40));
        positions.set(name, position);
      };
      const first = open(t, topic, {}, { from, work });
      await until("the first reads", () => first.count > 3000);
      const second = open(t, topic, {}, { from, work });
      await until("the second reads", () => second.count > 3000);
      await second.stop();
      await until("all are read", () => first.count + second.count >= 100_000);
      for (const name of [`${topic}/0`, `${topic}/1`]) assert.deepEqual(all([first, second], name), upTo(50_000));
    });

    it("tells the next owner whether a position was committed with state that is kept elsewhere", async () => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, numbered(10));
      const told: ("state" | undefined)[] = [];
      for (const kept of [undefined, "state", undefined] as const) {
        const { logger, shared } = { logger: silent, shared: openSharedResources() };
        const stop = new AbortController();
        const context = { connection: kafkaConnection(address, client), shared, clientId: "test", logger, clock: systemClock };
        await using consumer = await createConsumer(consumerSettings(topic), { ...context, signal: stop.signal, waiting: () => undefined });
        for await (const partition of consumer.partitions(stop.signal)) {
          told.push(await partition.committedWith?.());
          for await (const { position, events } of partition.read(undefined)) {
            await partition.commit(position, kept);
            if (events.length > 0 || position === 10) break;
          }
          await partition[Symbol.asyncDispose]();
          stop.abort();
        }
        await produce(address, topic, 0, numbered(10));
      }
      assert.deepEqual(told, [undefined, undefined, "state"]);
    });

    it("waits for work in flight before it hands over, longer than the session, and is kept in the group meanwhile", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(100));
      const gate = new Gate();
      let inWork = 0;
      const first = open(
        t,
        topic,
        {},
        {
          work: async (_, { events }) => {
            if (events.length === 0) return;
            inWork++;
            await gate.pass();
          },
        },
      );
      await until("both partitions are worked on", () => inWork === 2);
      const second = open(t, topic);
      const begun = performance.now();
      // Longer than the session of six seconds.
      await until("the session would have expired", () => performance.now() - begun > 8000);
      assert.equal(second.open.size, 0, "nothing is handed over while work is in flight");
      gate.open();
      await until("they share", () => first.open.size === 1 && second.open.size === 1);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(50, { first: 100 }));
      await until("all are read", () => first.count + second.count >= 300);
      for (const name of [`${topic}/0`, `${topic}/1`]) assert.deepEqual(all([first, second], name), upTo(150));
      assert.deepEqual(first.lost, []);
    });

    it("takes a partition away when its work does not end within the rebalance timeout", async (t) => {
      const topic = await makeTopic(address, 2);
      for (const partition of [0, 1]) await produce(address, topic, partition, numbered(100));
      const gate = new Gate();
      t.after(() => gate.open());
      const stuck = `${topic}/0`;
      const first = open(
        t,
        topic,
        { rebalanceTimeout: 7000 },
        {
          work: async ({ name, signal }, { events }) => {
            if (name === stuck && events.length > 0 && first.lost.length === 0) {
              await Promise.race([gate.pass(), new Promise((resolve) => signal.addEventListener("abort", resolve))]);
            }
          },
        },
      );
      await until("the other is read", () => first.texts(`${topic}/1`).length === 100);
      const held = first.open.get(stuck);
      const second = open(t, topic, { rebalanceTimeout: 7000 });
      await until("it is lost", () => first.lost.includes(stuck));
      assert.ok(held?.signal.reason instanceof OwnershipLostError);
      assert.match(String(held.signal.reason), new RegExp(`${stuck}.*rebalance timeout of 7000 ms`));
      await until("they share", () => first.open.size === 1 && second.open.size === 1);
      await until("all are read", () => all([first, second], stuck).length === 100);
      assert.deepEqual(all([first, second], `${topic}/1`), upTo(100), "the other was not repeated");
    });

    it("gives no partition to a member that there is none for, until one is free", async (t) => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, numbered(10));
      const first = open(t, topic);
      await until("the first reads", () => first.count === 10);
      const second = open(t, topic);
      await until("the first reads again", () => first.open.size + second.open.size === 1);
      const [owner, other] = first.open.size === 1 ? [first, second] : [second, first];
      await owner.stop();
      await until("the other takes over", () => other.open.size === 1);
      await produce(address, topic, 0, numbered(10, { first: 10 }));
      await until("it reads", () => first.count + second.count === 20);
      assert.deepEqual(all([first, second], `${topic}/0`), upTo(20));
    });

    it("refuses to commit for a generation that is over, and changes nothing by it", async (t) => {
      const topic = await makeTopic(address, 2);
      await produce(address, topic, 0, numbered(100));
      const group = `test-${topic}`;
      const [one, two] = [await memberOf(t, group, topic), await memberOf(t, group, topic)];
      // A broker's first group has no coordinator for a moment.
      const old = await until("it has joined", async () => await one.join());
      assert.equal(await one.commit(old, [{ topic, partition: 0, position: 20 }]), "member");
      const joining = two.join();
      await until("one is told to join again", async () => (await one.heartbeat(old)) === "rebalancing");
      // Work in flight is still committed now.
      assert.equal(await one.commit(old, [{ topic, partition: 0, position: 30 }]), "member");
      const [present, theirs] = await Promise.all([one.join(), joining]);
      assert.equal(present.generation, theirs.generation);
      assert.equal(await two.commit(theirs, [{ topic, partition: 0, position: 90 }]), "member");
      assert.equal(await one.commit(old, [{ topic, partition: 0, position: 40 }]), "expelled");
      await one.leave();
      assert.equal(await one.commit(present, [{ topic, partition: 0, position: 50 }]), "expelled");
      assert.equal((await committedPositions(address, group, topic)).get(0), 90);
      await two.leave();
    });

    it("reads the first records of partitions that are added, also when it began at the latest record", async (t) => {
      const topic = await makeTopic(address, 1);
      const first = open(t, topic, { from: "latest" });
      await until("its position is known", async () => (await first.lag()) !== undefined);
      await growTopic(address, topic, 3);
      for (const partition of [1, 2])
        await until("it is there", async () => (await produce(address, topic, partition, numbered(10)), true));
      // The group finds them when it shares out anew.
      const guest = await memberOf(t, `test-${topic}`, topic);
      await guest.join();
      await guest.leave();
      await until("all are read", () => first.count === 20);
      for (const partition of [1, 2]) assert.deepEqual(all([first], `${topic}/${partition}`), upTo(10));
    });

    it("commits about once a second, and at once when a partition is given back", async (t) => {
      const topic = await makeTopic(address, 1);
      await produce(address, topic, 0, numbered(10));
      const reader = open(t, topic);
      await until("it reads", () => reader.count === 10);
      await until("it commits", async () => (await committedPositions(address, `test-${topic}`, topic)).get(0) === 10, { timeout: 5000 });
      await produce(address, topic, 0, numbered(5));
      await until("it reads", () => reader.count === 15);
      await reader.stop();
      assert.equal((await committedPositions(address, `test-${topic}`, topic)).get(0), 15);
    });
  });
}

describe("the Kafka consumers of both clients in one group", () => {
  it("share partitions, so that a client can be changed member by member", async (t) => {
    const topic = await makeTopic(address, 4);
    const readers = KAFKA_CLIENTS.map((client) => new Reader(kafkaConnection(address, client), consumerSettings(topic)));
    for (const reader of readers) t.after(() => reader[Symbol.asyncDispose]());
    await until("they share", () => readers.every(({ open }) => open.size === 2));
    for (const partition of [0, 1, 2, 3]) await produce(address, topic, partition, numbered(100));
    await until("all are read", () => readers.reduce((sum, { count }) => sum + count, 0) === 400);
    for (const partition of [0, 1, 2, 3]) assert.deepEqual(all(readers, `${topic}/${partition}`), upTo(100));
  });
});
