import assert from "node:assert/strict";
import { test } from "node:test";

import { AssignedPartition } from "../../src/kafka/assigned-partition.ts";
import type { FetchChannel, PartitionRequest, TopicInfo } from "../../src/kafka/driver.ts";
import { Fetcher } from "../../src/kafka/fetcher.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { until } from "../support/until.ts";

const NOTHING = { errorCode: 0, stableEnd: 0, aborted: [], records: Buffer.alloc(0) };

test("a partition without a leader is looked for now and then, said to be waited for, and holds up no other", async () => {
  const clock = new VirtualClock();
  let leaders = [1, -1];
  let asked = 0;
  const fetched: PartitionRequest[] = [];
  const troubles = new Map<string, unknown>();
  const topics = (): ReadonlyMap<string, TopicInfo> => new Map([["t", { name: "t", id: "t", leaders }]]);
  const channel: FetchChannel = {
    fetch: async (_, requests, { maxWait }) => {
      fetched.push(...requests);
      await new Promise<void>((resolve) => clock.after(maxWait, resolve));
      return requests.map(({ partition }) => ({ topicId: "t", partition, ...NOTHING }));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const fetcher = new Fetcher(
    channel,
    topics(),
    { clock, keyEncoding: "utf8" },
    {
      down: (part, error) => troubles.set(part, error),
      up: (part) => troubles.delete(part),
      outOfRange: () => Promise.resolve(),
      relayout: () => {
        asked++;
        return Promise.resolve(topics());
      },
      replaced: () => assert.fail("it is the same topic"),
    },
  );
  const owner = {
    startOf: () => Promise.resolve({ position: 0, committed: true }),
    wants: (partition: AssignedPartition) => fetcher.wants(partition),
    commits: () => undefined,
    release: () => Promise.resolve(),
  };
  const partitions = [0, 1].map((number) => new AssignedPartition("t", number, owner, { maxWaiting: 1000, clock }));
  for (const partition of partitions) void partition.read(undefined).next();
  await until("the other is fetched", () => fetched.some(({ partition }) => partition === 0));
  for (let second = 0; second < 20; second++) {
    await clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(asked > 2 && asked < 15, `looked for ${asked} times in 20 s`);
  assert.match(String(troubles.get("t/1")), /partition t\/1 has no leader/);
  assert.equal(troubles.size, 1);
  assert.ok(!fetched.some(({ partition }) => partition === 1));

  leaders = [1, 2];
  await until("it is fetched", async () => {
    await clock.advance(1000);
    return fetched.some(({ partition }) => partition === 1) && troubles.size === 0;
  });
  const closed = fetcher[Symbol.asyncDispose]();
  await clock.advance(10_000);
  await closed;
});

test("fewer partitions under the same id are what a broker says that has not heard of new ones; without ids the topic was made anew", async () => {
  for (const [id, expected] of [
    ["8e2f", []],
    ["t", ["t 1"]],
  ] as const) {
    const clock = new VirtualClock();
    const replaced: string[] = [];
    let looked = 0;
    const channel: FetchChannel = {
      fetch: async () => await Promise.reject(new Error("away")),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const fetcher = new Fetcher(
      channel,
      new Map([["t", { name: "t", id, leaders: [1, 1] }]]),
      { clock, keyEncoding: "utf8" },
      {
        down: () => undefined,
        up: () => undefined,
        outOfRange: () => Promise.resolve(),
        relayout: () => {
          looked++;
          return Promise.resolve(new Map([["t", { name: "t", id, leaders: [1] }]]));
        },
        replaced: (topic, partitions) => replaced.push(`${topic} ${partitions}`),
      },
    );
    const owner = {
      startOf: () => Promise.resolve({ position: 0, committed: true }),
      wants: (partition: AssignedPartition) => fetcher.wants(partition),
      commits: () => undefined,
      release: () => Promise.resolve(),
    };
    void new AssignedPartition("t", 1, owner, { maxWaiting: 1000, clock }).read(undefined).next();
    await until("it has looked for the leader", async () => {
      await clock.advance(1000);
      return looked > 0;
    });
    assert.deepEqual(replaced, expected);
    const closed = fetcher[Symbol.asyncDispose]();
    await clock.advance(10_000);
    await closed;
  }
});
