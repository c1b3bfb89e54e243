import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { DiscardPolicy } from "@nats-io/jetstream";

import type { Event, EventHeaders, Origin } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import { DataError, NotReadyError } from "../../src/errors.ts";
import { jetstreamSink, jetstreamSinkConfig } from "../../src/sinks/jetstream.ts";
import { jetstreamSource } from "../../src/sources/jetstream.ts";
import {
  deleteAfter,
  makeStream,
  natsClient,
  Notes,
  numbers,
  openContext,
  openSink,
  Reader,
  stored,
  uniqueName,
} from "../support/jetstream.ts";
import { nats, startNats } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const address = await nats();
const { signal } = new AbortController();

interface Given {
  readonly value: unknown;
  readonly offset?: number;
  readonly key?: string;
  readonly time?: number;
  readonly headers?: EventHeaders;
  readonly partition?: number;
}

const origins: readonly Origin[] = [0, 1].map((partition) => ({ system: "memory", name: "in", partition }));

function event({ value, offset = 0, key, time = 1000, headers, partition = 0 }: Given): Event {
  return { value, key, time, headers, origin: origins[partition] as Origin, offset, watermark: NO_WATERMARK, size: 10 };
}

function events(first: number, end: number): Event[] {
  return numbers(first, end).map((value, index) => event({ value, offset: first + index }));
}

describe("the JetStream sink: messages", () => {
  it("writes bytes and text as they are, and anything else as JSON", async (t) => {
    const stream = await makeStream(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    const values = [new TextEncoder().encode("bytes"), "text", { a: [1] }, 7, null, undefined];
    await sink.write(
      values.map((value, offset) => event({ value, offset })),
      signal,
    );
    assert.deepEqual(
      (await stored(t, address, stream)).map(({ text }) => text),
      ["bytes", "text", '{"a":[1]}', "7", "", ""],
    );
  });

  it("carries keys and headers across, as the source reads them, but not what means something to the server", async (t) => {
    const stream = await makeStream(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    const headers: EventHeaders = [
      ["b", "1"],
      ["a", new TextEncoder().encode("as text")],
      ["Nats-Rollup", "all"],
      ["binary", Uint8Array.of(0xff, 0)],
      ["lines", "one\r\ntwo"],
    ];
    const keys = ["plain", "ключ", " 100%\n", ""];
    await sink.write(
      keys.map((key, offset) => event({ value: "v", offset, key, headers })),
      signal,
    );
    await using reader = new Reader(address, jetstreamSource({ stream, create: true }));
    await until("all are read", () => reader.events.length === keys.length);
    assert.deepEqual(
      reader.events.map(({ key }) => key),
      keys,
    );
    const [first] = reader.events;
    assert.deepEqual(
      first?.headers?.filter(([name]) => !/^(Nats-Msg-Id|Millrace-Key)$/.test(name)),
      [
        ["b", "1"],
        ["a", "as text"],
        ["binary", "/wA="],
        ["lines", "one%0D%0Atwo"],
      ],
    );
  });

  it("puts keys into the subject, in one token", async (t) => {
    const stream = await makeStream(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.{key}.result`, key: "none" }));
    await sink.write([event({ value: "a", key: "d1" }), event({ value: "b", offset: 1, key: "x.y z/ü" })], signal);
    const subjects = (await stored(t, address, stream)).map(({ subject }) => subject);
    assert.deepEqual(subjects, [`${stream}.d1.result`, `${stream}.x%2Ey%20z%2F%C3%BC.result`]);
    await assert.rejects(
      sink.write([event({ value: "c", offset: 2 })], signal),
      /step "jetstream" at memory in\/0@2: the subject has \{key\} in it/,
    );
  });

  it("creates the stream when told to, and says when no stream takes the subject", async (t) => {
    const stream = uniqueName("made");
    deleteAfter(t, address, stream);
    const missing = jetstreamSink({ subject: `${stream}.{key}.x` });
    await assert.rejects(missing.open(openContext(address)), (error) => {
      assert.ok(error instanceof NotReadyError);
      assert.match(error.message, new RegExp(`^JetStream: no stream takes the subject "${stream}\\.\\*\\.x": add it`));
      return true;
    });
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.{key}.x`, stream, create: true }));
    await sink.write([event({ value: "a", key: "k" })], signal);
    const { manager } = await natsClient(t, address);
    const { config, state } = await manager.streams.info(stream);
    assert.deepEqual([config.subjects, state.messages], [[`${stream}.*.x`], 1]);
    const elsewhere = jetstreamSink({ subject: `elsewhere.${stream}`, stream });
    await assert.rejects(elsewhere.open(openContext(address)), new RegExp(`stream "${stream}" does not take the subject "elsewhere\\.`));
  });

  it("refuses settings that make no sense", () => {
    const wrong = (settings: object) => jetstreamSinkConfig.safeParse(settings).error?.issues.map(({ message }) => message)[0] ?? "";
    assert.match(wrong({ subject: "a.*" }), /no subject to publish to/);
    assert.match(wrong({ subject: "a", create: true }), /to create the stream its name is needed/);
    assert.match(wrong({ subject: "a", window: 0 }), />=1/);
  });
});

describe("the JetStream sink: order and repeats", () => {
  it("keeps the order of calls that overlap", async (t) => {
    const stream = await makeStream(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x`, window: 100 }));
    await Promise.all(numbers(0, 8).map((_, index) => sink.write(events(index * 500, index * 500 + 500), signal)));
    const texts = (await stored(t, address, stream)).map(({ text }) => text);
    assert.deepEqual(texts, numbers(0, 4000));
  });

  it("leaves repeats to the stream, over sinks and instances", async (t) => {
    const stream = await makeStream(t, address);
    const spec = jetstreamSink({ subject: `${stream}.x` });
    for (const instance of [0, 1]) {
      const sink = await openSink(t, address, spec, { instance });
      await sink.write(events(0, 1000), signal);
    }
    assert.equal((await stored(t, address, stream)).length, 1000);
  });

  it("says how many messages the stream dropped as repeats, once for each run of them", async (t) => {
    const stream = await makeStream(t, address);
    const spec = jetstreamSink({ subject: `${stream}.x` });
    const notes = new Notes();
    for (const end of [10, 15]) {
      const sink = await spec.open(openContext(address, { notes }));
      await sink.write(events(0, end), signal);
      await sink[Symbol.asyncDispose]();
    }
    const why = "it has messages with the same ids from within its duplicate window";
    assert.deepEqual(notes.lines, [`the stream dropped 10 messages on ${stream}.x as repeats: ${why}`]);
  });

  it("keeps apart what is different: partitions, tasks, results of one event, windows that begin with the same one", async (t) => {
    const stream = await makeStream(t, address);
    const spec = jetstreamSink({ subject: `${stream}.x` });
    const batch = [
      event({ value: "first result" }),
      event({ value: "second result" }),
      event({ value: "other partition", partition: 1 }),
      event({ value: "other time", time: 2000 }),
      event({ value: "other key", key: "k" }),
      event({ value: "no time", time: Number.NaN }),
      event({ value: "no time, second", time: Number.NaN }),
    ];
    for (const task of ["a", "b", "a"]) {
      const sink = await openSink(t, address, spec, { task });
      // What a restart gives has origins of its own.
      await sink.write(
        batch.map((one) => ({ ...one })),
        signal,
      );
    }
    assert.deepEqual(
      (await stored(t, address, stream)).map(({ text }) => text),
      [...batch, ...batch].map(({ value }) => value),
    );
  });
});

describe("the JetStream sink: what can't be written", () => {
  it("names an event that is too large for the server, after writing what came before it", async (t) => {
    const stream = await makeStream(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    const batch = [...events(0, 2), event({ value: new Uint8Array(3 * 1_048_576), offset: 2 }), ...events(3, 4)];
    await assert.rejects(sink.write(batch, signal), (error) => {
      assert.ok(error instanceof DataError);
      assert.match(
        error.message,
        /^step "jetstream" at memory in\/0@2: the message has 31\d+ bytes with its headers; NATS takes at most 1048576/,
      );
      return true;
    });
    assert.equal((await stored(t, address, stream)).length, 2);
  });

  it("names an event that is too large for the stream, before anything behind it is stored", async (t) => {
    const stream = await makeStream(t, address, { max_msg_size: 1000 });
    for (const [offset, named] of [
      [0, {}],
      [10, { stream }],
    ] as const) {
      const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x`, ...named }));
      const batch = [
        ...events(offset, offset + 2),
        event({ value: "x".repeat(2000), offset: offset + 2 }),
        ...events(offset + 3, offset + 5),
      ];
      const said = `memory in/0@${offset + 2}: the message has 20\\d\\d bytes with its headers; stream "${stream}" takes at most 1000 \\(max_msg`;
      await assert.rejects(sink.write(batch, signal), new RegExp(said));
      await sink.write(events(offset + 5, offset + 6), signal);
    }
    assert.deepEqual(
      (await stored(t, address, stream)).map(({ text }) => text),
      ["0", "1", "5", "10", "11", "15"],
    );
  });

  it("takes a message of just the size that the stream takes", async (t) => {
    const stream = await makeStream(t, address, { max_msg_size: 1000 });
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    const write = (offset: number, length: number) => sink.write([event({ value: "x".repeat(length), offset })], signal);
    const [, size] = /has (\d+) bytes/.exec(await write(1, 2000).then(String, String)) ?? [];
    const room = 1000 - (Number(size) - 2000);
    await assert.rejects(write(2, room + 1), /max_msg_size/);
    await write(3, room);
  });

  it("names an event that is too large for the stream since that was changed", async (t) => {
    const stream = await makeStream(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    const { manager } = await natsClient(t, address);
    await manager.streams.update(stream, { max_msg_size: 1000 });
    await assert.rejects(
      sink.write([event({ value: "x".repeat(2000), offset: 7 })], signal),
      /step "jetstream" at memory in\/0@7: the stream refuses it: message size exceeds maximum allowed/,
    );
    await sink.write(events(8, 9), signal);
  });

  it("names an event that is too large for a full stream only when what came before it is stored", async (t) => {
    const stream = await makeStream(t, address, { max_msgs: 2, discard: DiscardPolicy.New });
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    const { manager } = await natsClient(t, address);
    await manager.streams.update(stream, { max_msg_size: 1000 });
    const batch = [...events(0, 4), event({ value: "x".repeat(2000), offset: 4 }), ...events(5, 7)];
    const written = assert.rejects(sink.write(batch, signal), /step "jetstream" at memory in\/0@4: the stream refuses it: message size/);
    assert.equal(await Promise.race([written, sleep(1000, "waiting")]), "waiting");
    await manager.streams.update(stream, { max_msgs: -1 });
    await written;
    assert.deepEqual(
      (await stored(t, address, stream)).map(({ text }) => text),
      numbers(0, 4),
    );
  });

  it("names an event with a header that NATS can't carry, and one that the format can't hold", async (t) => {
    const stream = await makeStream(t, address);
    const sink = await openSink(t, address, jetstreamSink({ subject: `${stream}.x` }));
    await assert.rejects(sink.write([event({ value: "v", headers: [["a b", "1"]] })], signal), /can't carry a header with the name "a b"/);
    await assert.rejects(
      sink.write([event({ value: 1n })], signal),
      /step "jetstream" at memory in\/0@0: the value can't be written as JSON/,
    );
  });
});

describe("the JetStream sink: a server with accounts", () => {
  it("connects with user and password from the address, and tells neither", async (t) => {
    await using service = await startNats({ auth: { user: "me", password: "4222:s3cret@/?" } });
    const place = service.address.replace("nats://", "");
    const password = encodeURIComponent("4222:s3cret@/?");
    const right = openContext(`nats://me:${password}@${place}`);
    const subject = uniqueName("accounts");
    const sink = await jetstreamSink({ subject, stream: subject, create: true }).open(right);
    await sink.write(events(0, 3), signal);
    await sink[Symbol.asyncDispose]();
    const reader = new Reader(`nats://me:wrong-s3cret@${place}`, jetstreamSource({ stream: subject }));
    await until("the reason is told", () => reader.notes.reasons.length > 0);
    await reader.stop();
    const told = [...reader.notes.reasons, ...reader.notes.lines].join("\n");
    assert.match(told, /authorization violation/);
    assert.doesNotMatch(told, /s3cret|me:/);
    t.diagnostic(told);
  });

  it("connects with a token and with credentials", async () => {
    await using byToken = await startNats({ auth: { token: "t0ken" } });
    await using byCredentials = await startNats({ auth: "creds" });
    const contexts = [
      openContext(byToken.address.replace("nats://", "nats://t0ken@")),
      openContext(byCredentials.address, { credentials: byCredentials.credentials ?? "" }),
    ];
    for (const context of contexts) {
      const sink = await jetstreamSink({ subject: "any", stream: "any", create: true }).open(context);
      await sink.write(events(0, 3), signal);
      await sink[Symbol.asyncDispose]();
    }
  });

  it("says so where the user may not publish", async () => {
    const users = '{ user: all, password: a }, { user: few, password: b, permissions: { publish: { deny: ["any"] } } }';
    await using service = await startNats({ config: `authorization { users: [${users}] }` });
    const all = await jetstreamSink({ subject: "any", stream: "any", create: true }).open(
      openContext(service.address.replace("nats://", "nats://all:a@")),
    );
    await all[Symbol.asyncDispose]();
    const notes = new Notes();
    await using sink = await jetstreamSink({ subject: "any" }).open(
      openContext(service.address.replace("nats://", "nats://few:b@"), { notes }),
    );
    const end = new AbortController();
    const writing = assert.rejects(sink.write(events(0, 1), end.signal), /enough/);
    await until("the reason is told", () => notes.reasons.some((reason) => /not let this user publish to any,/.test(reason ?? "")));
    end.abort(new Error("enough"));
    await writing;
  });

  it("says which address does not resolve", async () => {
    const reader = new Reader("nats://me:s3cret@no-such-host.invalid:4222", jetstreamSource({ stream: "any" }));
    await until("the reason is told", () => reader.notes.reasons.length > 0);
    await reader.stop();
    assert.match(reader.notes.reasons[0] ?? "", /^NATS is away: nats:\/\/no-such-host\.invalid:4222: the host name does not resolve/);
  });
});
