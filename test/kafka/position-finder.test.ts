import assert from "node:assert/strict";
import { test } from "node:test";

import { Assignment } from "../../src/kafka/assignment.ts";
import { Availability } from "../../src/kafka/availability.ts";
import type { KafkaDriver, TopicInfo } from "../../src/kafka/driver.ts";
import type { LogRange } from "../../src/kafka/out-of-range.ts";
import { PositionFinder } from "../../src/kafka/position-finder.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { consumerSettings } from "../support/kafka-reader.ts";
import { kafkaConnection, silent } from "../support/kafka-topics.ts";

const clock = new VirtualClock();
const never = new AbortController().signal;

/** A cluster with one topic, "t", whose partitions have offsets 10 to 50, and a finder on it. */
function finderOn(leaders: readonly number[], from: "earliest" | "latest" = "earliest") {
  const topics = (): ReadonlyMap<string, TopicInfo> => new Map([["t", { name: "t", id: "t", leaders: cluster.leaders }]]);
  const cluster = { leaders, topics, waiting: undefined as string | undefined };
  const range: LogRange = { first: 10, end: 50 };
  const driver = {
    topics: () => Promise.resolve(topics()),
    ranges: (_: string, asked: readonly number[]) =>
      Promise.resolve(new Map(asked.filter((partition) => (cluster.leaders[partition] ?? -1) >= 0).map((partition) => [partition, range]))),
  };
  const waiting = (reason: string | undefined) => (cluster.waiting = reason);
  const connection = kafkaConnection("127.0.0.1:1", "platformatic");
  const finder = new PositionFinder(
    consumerSettings("t", { from }),
    { connection, shared: openSharedResources(), clientId: "test", logger: silent, clock, signal: never, waiting },
    {
      driver: driver as Partial<KafkaDriver> as KafkaDriver,
      membership: {
        join: () => assert.fail("not asked for"),
        heartbeat: () => assert.fail("not asked for"),
        commit: () => assert.fail("not asked for"),
        leave: () => assert.fail("not asked for"),
        committed: () => Promise.resolve([{ topic: "t", partition: 0, position: 30 }]),
      },
      availability: new Availability("reading", silent, waiting),
      closing: never,
    },
  );
  return { cluster, finder };
}

function assignmentOf(partitions: readonly number[]): Assignment {
  return new Assignment(
    [{ topic: "t", partitions }],
    { maxWaiting: 1000, clock, giveUp: never, editions: new Map<string, string>() },
    { startOf: () => assert.fail("not read"), wants: () => undefined, write: () => Promise.resolve(), disposed: () => undefined },
  );
}

test("a partition without a leader begins when it has one; the others begin at once", async () => {
  const { cluster, finder } = finderOn([1, 1, -1, 2]);
  const starts = finder.starts(assignmentOf([0, 1, 2, 3]));
  assert.deepEqual(await Promise.all(["t/0", "t/1", "t/3"].map(async (name) => await starts.get(name))), [
    { position: 30, committed: true, needs: undefined },
    { position: 10, committed: false },
    { position: 10, committed: false },
  ]);
  assert.match(cluster.waiting ?? "", /partition t\/2 has no leader/);
  cluster.leaders = [1, 1, 2, 2];
  await clock.advance(10_000);
  assert.equal((await starts.get("t/2"))?.position, 10);
  assert.equal(cluster.waiting, undefined);
});

test("a partition without a leader is not looked for any more when it was given back", async () => {
  const { cluster, finder } = finderOn([1, -1]);
  const assignment = assignmentOf([1]);
  const start = assert.rejects(finder.starts(assignment).get("t/1") ?? Promise.resolve());
  await clock.advance(10_000);
  assert.match(cluster.waiting ?? "", /partition t\/1 has no leader/);
  for (const partition of assignment.partitions) await partition[Symbol.asyncDispose]();
  await start;
  assert.equal(cluster.waiting, undefined);
});

test("a partition that was added while its topic was read from the latest record begins at its first one", async () => {
  const { cluster, finder } = finderOn([1, 1], "latest");
  finder.sees(cluster.topics());
  cluster.leaders = [1, 1, 1];
  finder.sees(cluster.topics());
  const starts = finder.starts(assignmentOf([0, 1, 2]));
  const found = await Promise.all(["t/0", "t/1", "t/2"].map(async (name) => await starts.get(name)));
  assert.deepEqual(
    found.map((start) => start?.position),
    [30, 50, 10],
  );
});
