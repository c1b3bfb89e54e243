/**
 * What the JetStream source promises about sharing, owning and acknowledging, on a server where nothing goes wrong.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { ConfigError, OwnershipLostError } from "../../src/errors.ts";
import { jetstreamSource } from "../../src/sources/jetstream.ts";
import type { ReaderOptions } from "../support/jetstream.ts";
import { ackPending, makeStream, natsClient, numbers, Reader, store } from "../support/jetstream.ts";
import { nats } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const address = await nats();

function open(stream: string, options: ReaderOptions & { settings?: Partial<Parameters<typeof jetstreamSource>[0]> } = {}): Reader {
  return new Reader(address, jetstreamSource({ stream, create: true, ...options.settings }), options);
}

function sorted(...readers: readonly Reader[]): number[] {
  return readers.flatMap((reader) => reader.texts.map(Number)).sort((a, b) => a - b);
}

describe("a JetStream consumer that instances share", () => {
  it("gives each message to one of them, once", async (t) => {
    const stream = await makeStream(t, address);
    await using first = open(stream, { instances: 2 });
    await using second = open(stream, { instances: 2, instance: 1 });
    await until("both read", () => first.partition !== undefined && second.partition !== undefined);
    await store(t, address, `${stream}.x`, numbers(0, 20_000));
    await until("all are read", () => first.events.length + second.events.length >= 20_000);
    assert.deepEqual(sorted(first, second), numbers(0, 20_000).map(Number));
    assert.ok(first.events.length > 0 && second.events.length > 0);
    const { manager } = await natsClient(t, address);
    await ackPending(manager, stream, "millrace-test", 0);
  });

  it("delivers nothing twice after stops under load, and gives what was not worked on to the others at once", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 30_000));
    const readers: Reader[] = [];
    for (let instance = 0; instance < 4; instance++) {
      const reader = open(stream);
      await until("it has read something", () => reader.events.length > 1000 || sorted(...readers, reader).length === 30_000);
      await reader.stop();
      readers.push(reader);
    }
    await using last = open(stream);
    await until("the rest is read", () => sorted(...readers, last).length >= 30_000, { timeout: 10_000 });
    assert.deepEqual(sorted(...readers, last), numbers(0, 30_000).map(Number));
  });

  it("finishes what has arrived before a stop when messages are not delivered again", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 6000));
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const spec = jetstreamSource({ stream, create: true, maxDeliver: 1 });
    const first = new Reader(address, spec, { gate });
    await until("it reads", () => first.events.length > 0);
    const stopped = first.stop();
    open();
    await stopped;
    await using second = new Reader(address, spec);
    await until("the rest is read", () => first.events.length + second.events.length === 6000);
    assert.deepEqual([...first.texts, ...second.texts], numbers(0, 6000));
  });

  it("acknowledges only what was committed, and delivers the rest again", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10));
    const first = open(stream, { commit: false });
    await until("all are read", () => first.events.length === 10);
    await first.partition?.commit(5);
    await first.stop();
    const { manager } = await natsClient(t, address);
    assert.equal((await manager.consumers.info(stream, "millrace-test")).ack_floor.stream_seq, 4);
    await using second = open(stream);
    await until("the rest is read again", () => second.events.length === 6);
    assert.deepEqual(sorted(second), numbers(4, 10).map(Number));
  });

  it("does not acknowledge what was delivered again before it was worked on again", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 3));
    const { manager } = await natsClient(t, address);
    const first = open(stream, { commit: false });
    await until("all are read", () => first.events.length === 3);
    const gate = Promise.withResolvers<void>();
    await using second = open(stream, { gate: gate.promise });
    await until("it reads", () => second.partition !== undefined);
    await store(t, address, `${stream}.x`, ["3"]);
    await until("the new one is read by one of them", () => first.events.length + second.events.length === 4);
    await first.stop();
    await ackPending(manager, stream, "millrace-test", 4);
    // The position of what came first passes the numbers of what was delivered again.
    gate.resolve();
    await until("everything is read", () => new Set(second.texts).size === 4, { timeout: 10_000 });
    const positions = second.batches.map(({ position }) => position);
    assert.deepEqual(
      positions,
      positions.toSorted((a, b) => a - b),
    );
    await ackPending(manager, stream, "millrace-test", 0);
  });

  it("keeps what takes longer than ack_wait, read or not", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 3000));
    const gate = Promise.withResolvers<void>();
    await using reader = open(stream, { gate: gate.promise, settings: { ackWait: "1s" } });
    await until("the first batch is read", () => reader.events.length > 0);
    assert.ok(reader.events.length < 3000);
    const { manager } = await natsClient(t, address);
    // Well past ack_wait: nothing may have been delivered again by then.
    const start = performance.now();
    await until("three seconds have passed", () => performance.now() - start > 3000);
    assert.equal((await manager.consumers.info(stream, "millrace-test")).num_redelivered, 0);
    gate.resolve();
    await until("all are read", () => reader.events.length >= 3000);
    assert.deepEqual(reader.texts, numbers(0, 3000));
    await ackPending(manager, stream, "millrace-test", 0);
  });

  it("says how to raise the max_ack_pending of a consumer that the task may not change", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 30));
    const { manager } = await natsClient(t, address);
    await manager.consumers.add(stream, { durable_name: "mine", ack_policy: "explicit", max_ack_pending: 10 });
    await using reader = open(stream, { commit: false, settings: { consumer: "mine", create: false } });
    const remedy = `raise its limit (nats consumer edit ${stream} mine --max-pending=20)`;
    await until("it is told", () => reader.notes.reasons.some((reason) => reason?.includes(remedy)), { timeout: 15_000 });
  });

  it("says so when max_ack_pending holds everything back", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 30));
    await using reader = open(stream, { commit: false, settings: { maxAckPending: 10 } });
    await until("ten are read", () => reader.events.length === 10);
    await until("it is told", () => reader.notes.reasons.some((reason) => reason?.includes("raise maxAckPending of the task")), {
      timeout: 15_000,
    });
    await reader.partition?.commit(11);
    await until("the next ten are read", () => reader.events.length === 20);
    assert.equal(reader.notes.reasons.at(-1), undefined);
  });
});

describe("a JetStream consumer that one instance owns", () => {
  it("gives everything to one, in order, while the other stands by, which takes over when it stops", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 5000));
    const first = open(stream, { stateful: true });
    await until("the first owns it", () => first.events.length === 5000);
    await using second = open(stream, { stateful: true, instance: 1, instances: 2 });
    await until("the second stands by", () => second.notes.lines.includes("another instance owns the consumer; standing by"), {
      timeout: 20_000,
    });
    await store(t, address, `${stream}.x`, numbers(5000, 6000));
    await until("the first reads on", () => first.events.length === 6000);
    await first.stop();
    await store(t, address, `${stream}.x`, numbers(6000, 7000));
    await until("the second took over", () => second.events.length === 1000, { timeout: 10_000 });
    assert.deepEqual(first.texts, numbers(0, 6000));
    assert.deepEqual(second.texts, numbers(6000, 7000));
  });

  it("reads what was held again, in order and before anything newer, after the owner stopped", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 3000));
    const first = open(stream, { stateful: true, commit: false });
    await until("all are read", () => first.events.length === 3000);
    await first.partition?.commit(1234);
    await first.stop();
    await store(t, address, `${stream}.x`, numbers(3000, 3100));
    await using second = open(stream, { stateful: true });
    await until("the rest is read", () => second.events.length === 3100 - 1233);
    assert.deepEqual(second.texts, numbers(1233, 3100));
  });

  it("takes over from an owner that is silent, also when nothing new comes", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10));
    const context = { stateful: true, commit: false, settings: { takeover: "1s" } };
    const { client, manager } = await natsClient(t, address);
    await using first = open(stream, context);
    await until("the first owns it", () => first.events.length === 10);
    // In its place, a client that got the pin and died: the server knows it as the owner, and nobody speaks for it.
    const info = await manager.consumers.info(stream, "millrace-test");
    await first.stop();
    const inbox = `_INBOX.${stream}`;
    client.subscribe(inbox, { callback: () => undefined });
    await manager.consumers.reset(stream, info.name);
    client.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${info.name}`, JSON.stringify({ batch: 10, expires: 1e9, group: "millrace" }), {
      reply: inbox,
    });
    await ackPending(manager, stream, info.name, 10);
    await using second = open(stream, { ...context, instance: 1 });
    await until("the second has it all", () => second.events.length === 10, { timeout: 15_000 });
    assert.deepEqual(second.texts, numbers(0, 10));
  });

  it("begins where it is told, before or after what is acknowledged", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 100));
    const first = open(stream, { stateful: true });
    await until("all are read", () => first.events.length === 100);
    await first.stop();
    await store(t, address, `${stream}.x`, numbers(100, 110));
    const before = open(stream, { stateful: true, from: 51, commit: false });
    await until("sixty are read", () => before.events.length === 60);
    await before.stop();
    const after = open(stream, { stateful: true, from: 106 });
    await until("five are read", () => after.events.length === 5);
    await after.stop();
    assert.deepEqual([before.texts, after.texts], [numbers(50, 110), numbers(105, 110)]);
  });

  it("keeps the consumer while nothing is read because the sink is slow", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 20_000));
    const gate = Promise.withResolvers<void>();
    await using first = open(stream, { stateful: true, gate: gate.promise, settings: { takeover: "1s" } });
    await until("the first owns it", () => first.events.length > 0);
    await using second = open(stream, { stateful: true, settings: { takeover: "1s" } });
    const start = performance.now();
    await until("three times the time to take over has passed", () => performance.now() - start > 3000);
    assert.equal(second.partition, undefined);
    gate.resolve();
    await until("all are read", () => first.events.length >= 20_000);
    assert.deepEqual(first.texts, numbers(0, 20_000));
    assert.equal(first.partitions, 1);
  });

  it("is lost when another was made its owner; nothing is committed then, and what was held comes to the next", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10));
    const { manager } = await natsClient(t, address);
    const first = open(stream, { stateful: true, commit: false, settings: { takeover: "1s" } });
    await until("the first owns it", () => first.events.length === 10);
    const lost = first.partition;
    await manager.consumers.unpin(stream, "millrace-test", "millrace");
    // The server looks at who owns the consumer when it has something to deliver.
    await store(t, address, `${stream}.x`, ["10"]);
    await until("it is lost", () => lost?.signal.aborted === true, { timeout: 10_000 });
    assert.ok(lost?.signal.reason instanceof OwnershipLostError);
    await assert.rejects(async () => await lost?.commit(11), OwnershipLostError);
    await until("it comes again", () => first.events.length === 21, { timeout: 10_000 });
    await first.stop();
    assert.deepEqual(first.texts, [...numbers(0, 10), ...numbers(0, 11)]);
  });

  it("fails, naming it, when windows hold as many messages as max_ack_pending allows", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 30));
    const { manager } = await natsClient(t, address);
    const pinned = { priority_groups: ["millrace"], priority_policy: "pinned_client" as const };
    await manager.consumers.add(stream, { durable_name: "small", ack_policy: "all", max_ack_pending: 10, ...pinned });
    await using reader = open(stream, { stateful: true, commit: false, settings: { consumer: "small", create: false } });
    await reader.ended;
    assert.equal(reader.events.length, 10);
    assert.ok(reader.error instanceof ConfigError);
    assert.match(reader.error.message, /its windows hold 10 messages unacknowledged, and max_ack_pending of consumer "small"/);
  });

  it("does not take what is delivered again for something new", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10));
    await using reader = open(stream, { stateful: true, commit: false, settings: { ackWait: "1s" } });
    await until("ten are read", () => reader.events.length === 10);
    const { manager } = await natsClient(t, address);
    await until("the server delivered again", async () => (await manager.consumers.info(stream, "millrace-test")).num_redelivered === 10);
    await store(t, address, `${stream}.x`, ["10"]);
    await until("the new one is read", () => reader.events.length === 11);
    assert.deepEqual(reader.texts, numbers(0, 11));
    await reader.partition?.commit(12);
    await ackPending(manager, stream, "millrace-test", 0);
  });
});
