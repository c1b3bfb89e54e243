import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";

import type { JetStreamManager } from "@nats-io/jetstream";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";

import { NO_WATERMARK } from "../../src/batch.ts";
import { ConfigError, DataError, NotReadyError } from "../../src/errors.ts";
import { jetstreamSource, jetstreamSourceConfig } from "../../src/sources/jetstream.ts";
import type { ReaderOptions } from "../support/jetstream.ts";
import { ackPending, deleteAfter, makeStream, natsClient, numbers, Reader, store, uniqueName } from "../support/jetstream.ts";
import { nats, startNats } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const address = await nats();
type Settings = Parameters<typeof jetstreamSource>[0];

function open(settings: Settings, options: ReaderOptions = {}): Reader {
  return new Reader(address, jetstreamSource(settings), options);
}

/** The error that ends an instance. */
async function failure(settings: Settings, options: ReaderOptions = {}): Promise<unknown> {
  await using reader = open(settings, options);
  await reader.ended;
  return reader.error;
}

/** A server of its own with a stream `any` of one message, and the address for a user who may not publish to some subjects. */
async function limitedUser(t: TestContext, deny: readonly string[]): Promise<{ limited: string; manager: JetStreamManager }> {
  const few = `{ user: few, password: b, permissions: { publish: { deny: ${JSON.stringify(deny)} } } }`;
  const service = await startNats({ config: `authorization { users: [{ user: all, password: a }, ${few}] }` });
  t.after(() => service[Symbol.asyncDispose]());
  const client = await connect({ servers: service.address, user: "all", pass: "a" });
  t.after(() => client.close());
  const manager = await jetstreamManager(client);
  await manager.streams.add({ name: "any", subjects: ["any"] });
  await jetstream(client).publish("any", "a");
  return { limited: service.address.replace("nats://", "nats://few:b@"), manager };
}

describe("the JetStream source: events", () => {
  it("gives the payload, key, time, headers and sequence number as they are", async (t) => {
    const stream = await makeStream(t, address);
    const { client, manager } = await natsClient(t, address);
    const carried = headers();
    carried.append("b", "1");
    carried.append("A", "Ünïcode: with a colon");
    carried.append("Millrace-Key", "the key");
    carried.append("b", "2");
    await client.request(`${stream}.x`, "with headers", { headers: carried, timeout: 2000 });
    await client.request(`${stream}.y`, "", { timeout: 2000 });
    await using reader = open({ stream, create: true });
    await until("both are read", () => reader.events.length === 2);
    const [first, second] = reader.events;
    const info = await manager.streams.getMessage(stream, { seq: 1 });
    assert.deepEqual(reader.texts, ["with headers", ""]);
    assert.equal(first?.key, "the key");
    assert.equal(first?.time, info?.time.getTime());
    assert.deepEqual(first?.headers, [
      ["b", "1"],
      ["b", "2"],
      ["A", "Ünïcode: with a colon"],
      ["Millrace-Key", "the key"],
    ]);
    assert.deepEqual(first?.origin, { system: "jetstream", name: stream, partition: undefined });
    assert.equal(first?.offset, 1);
    assert.equal(first?.watermark, NO_WATERMARK);
    assert.ok((first?.size ?? 0) > "with headers".length);
    assert.equal(second?.key, undefined);
    assert.equal(second?.headers, undefined);
    assert.equal(reader.partition?.name, `${stream}/millrace-test`);
  });

  it("takes the key from where `key` says", async (t) => {
    const stream = await makeStream(t, address);
    const { client } = await natsClient(t, address);
    const carried = headers();
    carried.append("Device", "d%201");
    await client.request(`${stream}.plant%2E7.x`, "value", { headers: carried, timeout: 2000 });
    const keyed = async (key: NonNullable<Settings["key"]>, consumer: string) => {
      await using reader = open({ stream, create: true, consumer, key });
      await until("it is read", () => reader.events.length === 1);
      return reader.events[0]?.key;
    };
    assert.equal(await keyed("subject", "a"), `${stream}.plant%2E7.x`);
    assert.equal(await keyed({ subject: 1 }, "b"), "plant.7");
    assert.equal(await keyed({ subject: 9 }, "c"), undefined);
    assert.equal(await keyed({ header: "Device" }, "d"), "d 1");
  });

  it("reads only the subjects that it names", async (t) => {
    const stream = await makeStream(t, address);
    for (const subject of ["a.1", "b.1", "c.1", "b.2"]) await store(t, address, `${stream}.${subject}`, [subject]);
    await using reader = open({ stream, create: true, subjects: [`${stream}.a.*`, `${stream}.b.>`] });
    await until("three are read", () => reader.events.length === 3);
    assert.deepEqual(reader.texts, ["a.1", "b.1", "b.2"]);
  });

  it("begins at the end when `from` is latest, and goes on where it was", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, ["before"]);
    const first = open({ stream, create: true, from: "latest" });
    await until("it has begun", () => first.partition !== undefined);
    await store(t, address, `${stream}.x`, ["a", "b"]);
    await until("two are read", () => first.events.length === 2);
    await first.stop();
    await store(t, address, `${stream}.x`, ["c"]);
    await using second = open({ stream, create: true, from: "latest" });
    await until("one is read", () => second.events.length === 1);
    assert.deepEqual([...first.texts, ...second.texts], ["a", "b", "c"]);
  });

  it("yields an empty batch now and then while nothing comes", async (t) => {
    const stream = await makeStream(t, address);
    await using reader = open({ stream, create: true });
    await until("an empty batch came", () => reader.batches.length >= 1, { timeout: 15_000 });
    assert.deepEqual(reader.batches[0]?.events, []);
  });

  it("tells how far behind it is", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10_000));
    const gate = Promise.withResolvers<void>();
    const source = jetstreamSource({ stream, create: true });
    await using reader = new Reader(address, source, { gate: gate.promise });
    await until("the first batch is read", () => reader.events.length > 0);
    assert.equal(reader.source?.lag?.(), 10_000);
    gate.resolve();
    await until("all is read and committed", () => reader.source?.lag?.() === 0);
  });
});

describe("the JetStream source: decoding", () => {
  it("decodes with `format`, and ends at a message that can't be decoded, after everything before it", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, ['{"n":1}', "2", "{broken", "4"]);
    const reader = open({ stream, create: true, format: "json" });
    await reader.ended;
    assert.deepEqual(
      reader.events.map(({ value }) => value),
      [{ n: 1 }, 2],
    );
    assert.ok(reader.error instanceof DataError);
    assert.match(reader.error.message, new RegExp(`^step "source" at jetstream ${stream}@3: the value is no JSON`));
    const { manager } = await natsClient(t, address);
    await ackPending(manager, stream, "millrace-test", 2);
    const info = await manager.consumers.info(stream, "millrace-test");
    assert.equal(info.ack_floor.stream_seq, 2);
  });
});

describe("the JetStream source: what is missing or does not fit", () => {
  it("says which stream is missing, and how to create it", async () => {
    const stream = uniqueName("missing");
    const error = await failure({ stream, subject: "orders.*" });
    assert.ok(error instanceof NotReadyError);
    assert.equal(
      error.message,
      `JetStream has no stream "${stream}": create it (nats stream add ${stream} --subjects "orders.*"), or set \`create: true\``,
    );
  });

  it("says which consumer is missing, and how to create it", async (t) => {
    const stream = await makeStream(t, address);
    const error = await failure({ stream, consumer: "mine" });
    assert.ok(error instanceof NotReadyError);
    assert.match(
      error.message,
      new RegExp(`stream "${stream}" has no durable consumer "mine": create it \\(nats consumer add ${stream} mine --pull`),
    );
  });

  it("creates the stream and the consumer when told to", async (t) => {
    const stream = uniqueName("made");
    const { manager } = await natsClient(t, address);
    deleteAfter(t, address, stream);
    await using reader = open({ stream, subject: `${stream}.*`, create: true, maxAckPending: 77, ackWait: "9s" });
    await until("it reads", () => reader.partition !== undefined);
    assert.deepEqual((await manager.streams.info(stream)).config.subjects, [`${stream}.*`]);
    const { config } = await manager.consumers.info(stream, "millrace-test");
    assert.deepEqual([config.ack_policy, config.max_ack_pending, config.ack_wait], ["explicit", 77, 9_000_000_000]);
  });

  it("gives an existing consumer the settings of a task that may create it", async (t) => {
    const stream = await makeStream(t, address);
    const { manager } = await natsClient(t, address);
    await manager.consumers.add(stream, { durable_name: "mine", ack_policy: "explicit", max_ack_pending: 10, max_deliver: 3 });
    await store(t, address, `${stream}.x`, ["a"]);
    await using reader = open({ stream, consumer: "mine", create: true, ackWait: "9s", maxDeliver: 5 });
    await until("it reads", () => reader.events.length === 1);
    const { config } = await manager.consumers.info(stream, "mine");
    assert.deepEqual([config.ack_wait, config.max_ack_pending, config.max_deliver], [9_000_000_000, 65_536, 5]);
    assert.deepEqual(reader.notes.lines, []);
  });

  it("leaves an existing consumer of others as it is, and says once in what the task's settings differ", async (t) => {
    const stream = await makeStream(t, address);
    const { manager } = await natsClient(t, address);
    await manager.consumers.add(stream, { durable_name: "mine", ack_policy: "explicit", max_ack_pending: 10 });
    for (const settings of [{}, { ackWait: "9s", maxAckPending: 20 }]) {
      await using reader = open({ stream, consumer: "mine", ...settings });
      await until("it reads", () => reader.partition !== undefined);
      const { config } = await manager.consumers.info(stream, "mine");
      assert.deepEqual([config.ack_wait, config.max_ack_pending], [30_000_000_000, 10]);
      const differences = "its ack_wait is 30s, the task's ackWait 9s, its max_ack_pending is 10, the task's maxAckPending 20";
      const start = `consumer "mine" of stream "${stream}" differs from the task, whose settings have no effect`;
      const command = `nats consumer edit ${stream} mine --wait=9s --max-pending=20`;
      assert.deepEqual(reader.notes.lines, "ackWait" in settings ? [`${start}: ${differences}; change it (${command})`] : []);
    }
  });

  it("reads from an existing consumer that it may not change as well", async (t) => {
    const { limited, manager } = await limitedUser(t, ["$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.DURABLE.CREATE.>"]);
    await manager.consumers.add("any", { durable_name: "mine", ack_policy: "explicit", max_ack_pending: 10 });
    await using reader = new Reader(limited, jetstreamSource({ stream: "any", consumer: "mine", create: true }));
    await until("it reads", () => reader.events.length === 1);
    const warning = reader.notes.lines.find((line) => line.startsWith('consumer "mine"'));
    assert.match(warning ?? "", /its max_ack_pending is 10, .*; it can't be changed from here: Permissions Violation for Publish/);
  });

  it("warns once of a stream that removes what a pipeline with state may hold", async (t) => {
    const stream = await makeStream(t, address, { max_msgs_per_subject: 3 });
    await store(t, address, `${stream}.x`, ["a"]);
    for (const stateful of [false, true]) {
      await using reader = open({ stream, create: true, consumer: `c-${stateful}` }, { stateful });
      await until("it reads", () => reader.events.length === 1);
      const warnings = reader.notes.lines.filter((line) =>
        line.startsWith(`stream "${stream}" keeps 3 messages of a subject (max_msgs_per`),
      );
      assert.equal(warnings.length, stateful ? 1 : 0);
    }
  });

  it("names everything of an existing consumer that does not fit", async (t) => {
    const stream = await makeStream(t, address);
    const { manager } = await natsClient(t, address);
    await manager.consumers.add(stream, { durable_name: "other", ack_policy: "none", filter_subject: `${stream}.b` });
    const shared = await failure({ stream, consumer: "other", subject: `${stream}.a` });
    assert.ok(shared instanceof ConfigError);
    assert.deepEqual(
      shared.faults.map(({ what }) => what.split(";")[0]),
      ["its ack_policy is none", `it filters ${stream}.b`],
    );
    const owned = await failure({ stream, consumer: "other", create: true }, { stateful: true });
    assert.ok(owned instanceof ConfigError);
    assert.match(owned.message, /the pipeline keeps state, which needs all/);
    assert.match(owned.message, /it has no priority_policy pinned_client with the group "millrace"/);
  });

  it("refuses a work queue where messages are not acknowledged one by one", async (t) => {
    const stream = await makeStream(t, address, { retention: "workqueue" });
    await store(t, address, `${stream}.x`, ["a"]);
    for (const [options, why] of [
      [{ stateful: true }, "a pipeline that keeps state acknowledges all up to a message at once"],
      [{ mode: "debug" }, "debugging reads without acknowledging"],
    ] as const) {
      const error = await failure({ stream, create: true }, options);
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(
        error.message,
        new RegExp(`^task test: stream "${stream}": it is a work queue \\(retention workqueue\\), where .* but ${why}`),
      );
    }
    await using reader = open({ stream, create: true });
    await until("it is read without state", () => reader.events.length === 1);
  });

  it("refuses settings that make no sense", () => {
    const wrong = (settings: object) => jetstreamSourceConfig.safeParse(settings).error?.issues.map(({ message }) => message) ?? [];
    assert.match(wrong({ stream: "a.b" })[0] ?? "", /no name of a stream/);
    assert.match(wrong({ stream: "S", subject: "a b" })[0] ?? "", /no subject/);
    assert.match(wrong({ stream: "S", subject: "a", subjects: ["b"] })[0] ?? "", /either "subject" or "subjects"/);
    assert.match(wrong({ stream: "S", ackWait: "soon" })[0] ?? "", /milliseconds/);
    assert.match(wrong({ stream: "S", durable: "x" })[0] ?? "", /durable/);
  });
});

describe("the JetStream source: permissions", () => {
  it("says that its user may not ask for messages", async (t) => {
    const { limited } = await limitedUser(t, ["$JS.API.CONSUMER.MSG.NEXT.>"]);
    for (const stateful of [false, true]) {
      await using reader = new Reader(limited, jetstreamSource({ stream: "any", create: true }), { stateful, task: `t${stateful}` });
      const subject = `$JS.API.CONSUMER.MSG.NEXT.any.millrace-t${stateful}`;
      const said = new RegExp(`does not let this user publish to ${RegExp.escape(subject)}, so no message can be asked for: allow it`);
      await until("the reason is told", () => reader.notes.reasons.some((reason) => said.test(reason ?? "")));
      assert.deepEqual([reader.notes.lines.length, said.test(reader.notes.lines[0] ?? "")], [1, true]);
    }
  });

  it("says once that its user may not acknowledge, whatever the number of messages", async (t) => {
    const { limited } = await limitedUser(t, ["$JS.ACK.>"]);
    await using reader = new Reader(limited, jetstreamSource({ stream: "any", create: true, ackWait: "1s" }));
    await until("it comes again", () => reader.events.length > 2);
    const said = /does not let this user publish to \$JS\.ACK\.any\.millrace-test\.>, so no message can be acknowledged/;
    assert.match(reader.notes.reasons.at(-1) ?? "", said);
    assert.deepEqual([reader.notes.lines.length, said.test(reader.notes.lines[0] ?? "")], [1, true]);
  });
});

describe("the JetStream source: debugging", () => {
  it("reads from where the durable consumer is, and leaves it as it was", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10));
    const { manager } = await natsClient(t, address);
    const first = open({ stream, create: true });
    await until("ten are read", () => first.events.length === 10);
    await first.stop();
    await store(t, address, `${stream}.x`, numbers(10, 20));
    const before = await manager.consumers.info(stream, "millrace-test");
    const reader = open({ stream }, { mode: "debug" });
    await until("ten more are read", () => reader.events.length === 10);
    await reader.stop();
    assert.deepEqual(reader.texts, numbers(10, 20));
    const { delivered, ack_floor, num_ack_pending, num_pending } = await manager.consumers.info(stream, "millrace-test");
    assert.deepEqual([delivered, ack_floor, num_ack_pending, num_pending], [before.delivered, before.ack_floor, 0, 10]);
    const names = [];
    for await (const { name } of manager.consumers.list(stream)) names.push(name);
    assert.deepEqual(names, ["millrace-test"], "it leaves no consumer of its own behind");
  });

  it("goes on with the next message after its own consumer was lost", async (t) => {
    const stream = await makeStream(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10));
    const { manager } = await natsClient(t, address);
    await using reader = open({ stream }, { mode: "debug" });
    await until("ten are read", () => reader.events.length === 10);
    for await (const { name } of manager.consumers.list(stream)) await manager.consumers.delete(stream, name);
    await store(t, address, `${stream}.x`, numbers(10, 20));
    await until("ten more are read", () => reader.events.length === 20);
    assert.deepEqual(reader.texts, numbers(0, 20));
  });
});
