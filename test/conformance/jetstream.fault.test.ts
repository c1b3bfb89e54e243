/**
 * What the JetStream source and sink promise when servers, consumers and streams go away: each test has a server of its own.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { describe, it } from "node:test";

import type { Event, Origin } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import { NotReadyError } from "../../src/errors.ts";
import { jetstreamSink } from "../../src/sinks/jetstream.ts";
import { jetstreamSource } from "../../src/sources/jetstream.ts";
import { ackPending, makeStreamToStay, natsClient, Notes, numbers, openSink, Reader, store, stored } from "../support/jetstream.ts";
import type { NatsService } from "../support/services/index.ts";
import { startNats } from "../support/services/index.ts";
import { until } from "../support/until.ts";

async function server(t: TestContext): Promise<NatsService> {
  const service = await startNats();
  t.after(() => service[Symbol.asyncDispose]());
  return service;
}

/** The numbers below `end` that are not among the texts. */
function missing(texts: readonly string[], end: number): readonly string[] {
  const there = new Set(texts);
  return numbers(0, end).filter((text) => !there.has(text));
}

const origin: Origin = { system: "memory", name: "test", partition: 0 };

function events(first: number, end: number): Event[] {
  return numbers(first, end).map((value, index) => {
    return {
      value,
      key: undefined,
      time: 1,
      headers: undefined,
      origin,
      offset: first + index,
      watermark: NO_WATERMARK,
      size: value.length,
    };
  });
}

describe("the JetStream source: a server that goes away", () => {
  it("is waited for at the start, with the reason", async (t) => {
    const service = await server(t);
    const stream = await makeStreamToStay(t, service.address);
    await store(t, service.address, `${stream}.x`, ["a"]);
    await service.stop();
    await using reader = new Reader(service.address, jetstreamSource({ stream, create: true }));
    await until("the reason is told", () => reader.notes.reasons.length > 0);
    const reason = `NATS is away: ${service.address}: connection refused`;
    assert.equal(reader.notes.reasons[0], reason);
    await service.restart();
    await until("it reads", () => reader.events.length === 1);
    assert.equal(reader.notes.reasons.at(-1), undefined);
    assert.deepEqual(reader.notes.lines, [
      `${reason}; trying again until it is there`,
      `NATS is there: connected to ${service.address.replace("nats://", "")}`,
    ]);
  });

  it("ends a stop while it is away", async (t) => {
    const service = await server(t);
    await service.stop();
    const reader = new Reader(service.address, jetstreamSource({ stream: "any" }));
    await until("it waits", () => reader.notes.reasons.length > 0);
    await reader.stop();
    assert.equal(reader.error, undefined);
  });

  for (const stateful of [false, true]) {
    it(`loses nothing when it is killed and started again (${stateful ? "owned" : "shared"})`, async (t) => {
      const service = await server(t);
      const stream = await makeStreamToStay(t, service.address);
      await store(t, service.address, `${stream}.x`, numbers(0, 20_000));
      const gate = Promise.withResolvers<void>();
      await using reader = new Reader(service.address, jetstreamSource({ stream, create: true, ackWait: "2s", takeover: "1s" }), {
        stateful,
        gate: gate.promise,
      });
      await until("it has begun", () => reader.events.length > 0);
      await service.kill();
      gate.resolve();
      await until("it is away", () => reader.notes.reasons.length > 0);
      await service.restart();
      await store(t, service.address, `${stream}.x`, numbers(20_000, 21_000));
      await until("everything is read", () => reader.error !== undefined || missing(reader.texts, 21_000).length === 0, {
        timeout: 20_000,
      });
      assert.equal(reader.error, undefined);
      const { manager } = await natsClient(t, service.address);
      await ackPending(manager, stream, "millrace-test", 0);
      const lines = reader.notes.lines.filter((line) => line.startsWith("NATS is"));
      assert.equal(lines.length, 2, lines.join("\n"));
      if (!stateful) return;
      const again = reader.texts.slice(reader.texts.lastIndexOf(reader.texts.at(-21_000) ?? "0")).map(Number);
      assert.deepEqual(
        again,
        again.toSorted((a, b) => a - b),
        "what comes after is in order",
      );
    });
  }

  it("says why, and lives on, when the server's certificate is not trusted", async (t) => {
    await using service = await startNats({ tls: true });
    await using reader = new Reader(service.address, jetstreamSource({ stream: "any" }));
    await until("the reason is told", () => reader.notes.reasons.length > 0);
    assert.match(reader.notes.reasons[0] ?? "", /^NATS is away: tls:\/\/127\.0\.0\.1:\d+: .*(certificate|signed)/);
    t.diagnostic(reader.notes.reasons[0] ?? "");
  });

  it("goes on after it did not answer for a while", async (t) => {
    const service = await server(t);
    const stream = await makeStreamToStay(t, service.address);
    await using reader = new Reader(service.address, jetstreamSource({ stream, create: true }));
    await until("it reads", () => reader.partition !== undefined);
    await service.freeze();
    const start = performance.now();
    await until("two seconds have passed", () => performance.now() - start > 2000);
    await service.thaw();
    await store(t, service.address, `${stream}.x`, numbers(0, 100));
    await until("all are read", () => reader.events.length === 100);
    assert.deepEqual(reader.texts, numbers(0, 100));
  });
});

describe("the JetStream source: what is deleted under it", () => {
  it("makes a consumer anew where it was, when told to create it", async (t) => {
    const { address } = await server(t);
    const stream = await makeStreamToStay(t, address);
    const { manager } = await natsClient(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 3000));
    await using reader = new Reader(address, jetstreamSource({ stream, create: true, from: "latest", ackWait: "2s" }));
    await until("it has begun", () => reader.partition !== undefined);
    await store(t, address, `${stream}.x`, numbers(3000, 4000));
    await until("the new ones are read", () => reader.events.length === 1000);
    await ackPending(manager, stream, "millrace-test", 0);
    await manager.consumers.delete(stream, "millrace-test");
    await store(t, address, `${stream}.x`, numbers(4000, 5000));
    await until("what came since is read", () => reader.texts.includes("4999"));
    assert.deepEqual(
      numbers(3000, 5000).filter((text) => !reader.texts.includes(text)),
      [],
    );
    assert.ok(!reader.texts.includes("2999"), "nothing comes again that was there before it began");
  });

  it("says that the consumer is gone, when not told to create it", async (t) => {
    const { address } = await server(t);
    const stream = await makeStreamToStay(t, address);
    const { manager } = await natsClient(t, address);
    await manager.consumers.add(stream, { durable_name: "mine", ack_policy: "explicit" });
    const reader = new Reader(address, jetstreamSource({ stream, consumer: "mine" }));
    await until("it reads", () => reader.partition !== undefined);
    await manager.consumers.delete(stream, "mine");
    await reader.ended;
    assert.ok(reader.error instanceof NotReadyError);
    assert.match(reader.error.message, /has no durable consumer "mine"/);
  });

  for (const stateful of [false, true]) {
    it(`says that the stream is gone (${stateful ? "owned" : "shared"})`, async (t) => {
      const { address } = await server(t);
      const stream = await makeStreamToStay(t, address);
      await store(t, address, `${stream}.x`, ["a"]);
      const reader = new Reader(address, jetstreamSource({ stream, create: true, takeover: "1s" }), { stateful });
      await until("it reads", () => reader.events.length === 1);
      const { manager } = await natsClient(t, address);
      await manager.streams.delete(stream);
      await reader.ended;
      assert.ok(reader.error instanceof NotReadyError);
      assert.match(reader.error.message, new RegExp(`JetStream has no stream "${stream}"`));
    });
  }

  it("reads a stream that was made anew from its beginning", async (t) => {
    const { address } = await server(t);
    const stream = await makeStreamToStay(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 100));
    await using reader = new Reader(address, jetstreamSource({ stream, subject: `${stream}.>`, create: true }));
    await until("all are read", () => reader.events.length === 100);
    const { manager } = await natsClient(t, address);
    await ackPending(manager, stream, "millrace-test", 0);
    await manager.streams.delete(stream);
    await until("it is there again", async () => await manager.streams.info(stream).then(() => true));
    await store(t, address, `${stream}.x`, numbers(100, 105));
    await until("the new ones are read", () => reader.events.length === 105);
    assert.deepEqual(reader.texts, numbers(0, 105));
  });

  it("takes what is held of a stream for nothing of one that was made anew", async (t) => {
    const { address } = await server(t);
    const stream = await makeStreamToStay(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 50));
    await using reader = new Reader(address, jetstreamSource({ stream, subject: `${stream}.>`, create: true }), { commit: false });
    await until("all are read", () => reader.events.length === 50);
    const { manager } = await natsClient(t, address);
    await manager.streams.delete(stream);
    await until("it is there again", async () => await manager.streams.info(stream).then(() => true));
    await store(t, address, `${stream}.x`, numbers(50, 60));
    await until("the new ones are read", () => reader.events.length === 60);
    await reader.partition?.commit(51);
    await reader.stop();
    assert.deepEqual(reader.texts, numbers(0, 60));
    const { ack_floor } = await manager.consumers.info(stream, "millrace-test");
    assert.equal(ack_floor.stream_seq, 0);
  });

  it("makes an owned consumer anew, and reads what was held again", async (t) => {
    const { address } = await server(t);
    const stream = await makeStreamToStay(t, address);
    await store(t, address, `${stream}.x`, numbers(0, 10));
    await using reader = new Reader(address, jetstreamSource({ stream, create: true, takeover: "1s" }), { stateful: true, commit: false });
    await until("ten are read", () => reader.events.length === 10);
    await reader.partition?.commit(6);
    const { manager } = await natsClient(t, address);
    await ackPending(manager, stream, "millrace-test", 5);
    await manager.consumers.delete(stream, "millrace-test");
    await until("the held ones come again", () => reader.events.length === 15);
    assert.deepEqual(reader.texts.slice(10), numbers(5, 10));
  });
});

describe("the JetStream sink: a server that goes away", () => {
  it("stores everything once and in order over a kill", async (t) => {
    const service = await server(t);
    const stream = await makeStreamToStay(t, service.address);
    const notes = new Notes();
    const sink = await openSink(t, service.address, jetstreamSink({ subject: `${stream}.x`, window: 500 }), { notes });
    const { signal } = new AbortController();
    const writes = numbers(0, 20).map((_, index) => sink.write(events(index * 1000, index * 1000 + 1000), signal));
    await writes[0];
    await service.kill();
    await until("it waits", () => notes.reasons.at(-1) !== undefined);
    await service.restart();
    await Promise.all(writes);
    const texts = (await stored(t, service.address, stream)).map(({ text }) => text);
    assert.deepEqual(texts, numbers(0, 20_000));
    assert.equal(notes.reasons.at(-1), undefined);
  });

  it("is waited for until the write is given up", async (t) => {
    const service = await server(t);
    const stream = await makeStreamToStay(t, service.address);
    const sink = await openSink(t, service.address, jetstreamSink({ subject: `${stream}.x` }));
    await service.stop();
    const abandon = new AbortController();
    const write = sink.write(events(0, 10), abandon.signal);
    abandon.abort(new Error("given up"));
    await assert.rejects(write, /given up/);
    await service.restart();
    await sink.write(events(10, 20), new AbortController().signal);
    const texts = (await stored(t, service.address, stream)).map(({ text }) => text);
    assert.deepEqual(texts.slice(-10), numbers(10, 20));
  });

  it("says so when the stream is deleted", async (t) => {
    const { address } = await server(t);
    const stream = await makeStreamToStay(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    const { manager } = await natsClient(t, address);
    await manager.streams.delete(stream);
    await assert.rejects(sink.write(events(0, 10), new AbortController().signal), (error) => {
      assert.ok(error instanceof NotReadyError);
      assert.match(error.message, new RegExp(`no stream takes the subject "${stream}.x"`));
      return true;
    });
  });

  it("waits, with the reason, while the stream is full", async (t) => {
    const { address } = await server(t);
    const stream = await makeStreamToStay(t, address, { max_msgs: 10, discard: "new" });
    const notes = new Notes();
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }), { notes });
    const write = sink.write(events(0, 20), new AbortController().signal);
    await until("it waits", () => notes.reasons.at(-1)?.includes("maximum messages exceeded") === true);
    const { manager } = await natsClient(t, address);
    const before = (await stored(t, address, stream)).map(({ text }) => text);
    await manager.streams.purge(stream);
    await write;
    const after = (await stored(t, address, stream)).map(({ text }) => text);
    assert.deepEqual([...before, ...after], numbers(0, 20));
    assert.equal(notes.reasons.at(-1), undefined);
  });
});
