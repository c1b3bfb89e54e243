import assert from "node:assert/strict";
import { test } from "node:test";

import type { FetchChannel, GroupCoordinator, JoinChannel, KafkaDriver } from "../../src/kafka/driver.ts";
import { GroupConsumer } from "../../src/kafka/group-consumer.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { consumerSettings } from "../support/kafka-reader.ts";
import { kafkaConnection, silent } from "../support/kafka-topics.ts";

const nothing = () => Promise.resolve();

test("a rebalance while it joins is no trouble: it joins again at once", async () => {
  let joins = 0;
  const channel: JoinChannel = {
    join: () => Promise.resolve({ member: "m", generation: ++joins, members: [] }),
    sync: () => {
      if (joins > 1) return Promise.resolve([{ topic: "t", partitions: [0] }]);
      return Promise.reject(Object.assign(new Error("again"), { apiId: "REBALANCE_IN_PROGRESS" }));
    },
    [Symbol.asyncDispose]: nothing,
  };
  const coordinator: GroupCoordinator = {
    joining: () => Promise.resolve(channel),
    heartbeat: nothing,
    commit: nothing,
    committed: () => Promise.resolve([]),
    leave: nothing,
    forget: () => undefined,
  };
  const fetching: FetchChannel = { fetch: () => Promise.resolve([]), [Symbol.asyncDispose]: nothing };
  const driver: KafkaDriver = {
    topics: () => Promise.resolve(new Map([["t", { name: "t", id: "t", leaders: [1] }]])),
    create: nothing,
    ranges: () => Promise.resolve(new Map()),
    fetching: () => fetching,
    coordinator: () => coordinator,
    [Symbol.asyncDispose]: nothing,
  };
  const told: unknown[] = [];
  const consumer = new GroupConsumer(
    consumerSettings("t"),
    {
      connection: kafkaConnection("127.0.0.1:1", "platformatic"),
      shared: openSharedResources(),
      clientId: "test",
      logger: { ...silent, info: (_, message) => told.push(message), warn: (_, message) => told.push(message) },
      clock: new VirtualClock(),
      signal: new AbortController().signal,
      waiting: (reason) => told.push(reason),
    },
    driver,
  );
  for await (const partition of consumer.partitions(new AbortController().signal)) {
    assert.equal(partition.name, "t/0");
    await partition[Symbol.asyncDispose]();
    break;
  }
  assert.equal(joins, 2);
  assert.deepEqual(told, []);
  void consumer[Symbol.asyncDispose]();
});
