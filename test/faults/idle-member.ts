/** A member of a consumer group that only disturbs. */
import { systemClock } from "../../src/clock.ts";
import type { Partition } from "../../src/contracts.ts";
import { createConsumer } from "../../src/kafka/consumer.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { consumerSettings } from "../support/kafka-reader.ts";
import { kafkaConnection, silent } from "../support/kafka-topics.ts";

/** Joins a group in the way of the daemon's members: takes its share of the partitions, reads them and commits nothing. Gives how it leaves. */
export async function joinGroup(address: string, group: string, topic: string): Promise<() => Promise<void>> {
  const [stop, giveUp] = [new AbortController(), new AbortController()];
  const consumer = await createConsumer(consumerSettings(topic, { group }), {
    connection: kafkaConnection(address, "platformatic"),
    shared: openSharedResources(),
    clientId: "idle-member",
    logger: silent,
    clock: systemClock,
    signal: giveUp.signal,
    waiting: () => undefined,
  });
  const idling = (async () => {
    const held: Promise<void>[] = [];
    for await (const partition of consumer.partitions(stop.signal)) held.push(hold(partition));
    await Promise.all(held);
  })();
  idling.catch(() => undefined);
  return async () => {
    stop.abort();
    await idling;
    await consumer[Symbol.asyncDispose]();
    giveUp.abort();
  };
}

async function hold(partition: Partition): Promise<void> {
  await using held = partition;
  for await (const batch of held.read(undefined)) if (batch.events.length < 0) return;
}
