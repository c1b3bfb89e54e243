import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Event, Origin } from "../../src/batch.ts";
import { DataError } from "../../src/errors.ts";
import { compress } from "../../src/kafka/codecs.ts";
import type { RecordValue } from "../../src/kafka/consumer.ts";
import { type AbortedTransaction, endOfBatches, RecordBatches } from "../../src/kafka/record-batches.ts";

const origin: Origin = { system: "kafka", name: "t", partition: 3 };

interface TestRecord {
  readonly delta: number;
  readonly key?: string | undefined;
  readonly value?: string | undefined;
  readonly time?: number;
}

interface TestBatch {
  readonly base: number;
  readonly records: readonly TestRecord[];
  readonly attributes?: number;
  readonly lastDelta?: number;
  readonly producer?: bigint;
  readonly payload?: Buffer;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let zigzag = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value);
  for (; zigzag >= 0x80n; zigzag >>= 7n) bytes.push(Number(zigzag & 0x7fn) | 0x80);
  return [...bytes, Number(zigzag)];
}

function text(value: string | undefined): number[] {
  if (value === undefined) return varint(-1);
  const bytes = Buffer.from(value, "latin1");
  return [...varint(bytes.length), ...bytes];
}

function encodeRecords(records: readonly TestRecord[]): Buffer {
  return Buffer.concat(
    records.map(({ delta, key, value, time = 0 }) => {
      const body = [0, ...varint(time), ...varint(delta), ...text(key), ...text(value), 0];
      return Buffer.from([...varint(body.length), ...body]);
    }),
  );
}

/** A record batch as the protocol's documentation draws it. */
function encode({ base, records, attributes = 0, lastDelta, producer = -1n, payload = encodeRecords(records) }: TestBatch): Buffer {
  const header = Buffer.alloc(61);
  header.writeBigInt64BE(BigInt(base), 0);
  header.writeInt32BE(49 + payload.length, 8);
  header[16] = 2;
  header.writeInt16BE(attributes, 21);
  header.writeInt32BE(lastDelta ?? records.at(-1)?.delta ?? 0, 23);
  header.writeBigInt64BE(1_700_000_000_000n, 27);
  header.writeBigInt64BE(1_700_000_009_999n, 35);
  header.writeBigInt64BE(producer, 43);
  header.writeInt32BE(records.length, 57);
  return Buffer.concat([header, payload]);
}

function readAll(bytes: Buffer, from = 0, aborted: readonly AbortedTransaction[] = []) {
  const chunk = new RecordBatches(bytes, from, aborted, origin, "utf8");
  const events: Event<RecordValue>[] = [];
  let size = 0;
  while (!chunk.done) size = chunk.take(events, 0);
  return {
    chunk,
    size,
    values: events.map(({ offset, value }) => `${offset}:${value === null ? "null" : Buffer.from(value).toString()}`),
    events,
  };
}

const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
const marker = (base: number, producer: bigint, type: "abort" | "commit") =>
  encode({
    base,
    producer,
    attributes: TRANSACTIONAL | CONTROL,
    records: [{ delta: 0, key: type === "abort" ? "\0\0\0\0" : "\0\0\0\u0001", value: "" }],
  });

describe("record batches", () => {
  it("read offsets, times, keys and values, from the position that was asked for", () => {
    const bytes = encode({
      base: 5_000_000_000,
      records: [
        { delta: 0, value: "early" },
        { delta: 1, key: "k", value: "v", time: 12_345_678_901 },
        { delta: 2, time: -5 },
      ],
    });
    const { events, values } = readAll(bytes, 5_000_000_001);
    assert.deepEqual(values, ["5000000001:v", "5000000002:null"]);
    assert.deepEqual(
      events.map(({ key, time, size }) => [key, time, size]),
      [
        ["k", 1_712_345_678_901, 2],
        [undefined, 1_699_999_999_995, 0],
      ],
    );
    assert.equal(endOfBatches(bytes), 5_000_000_003);
  });

  it("take the broker's time when the batch says so", () => {
    const { events } = readAll(encode({ base: 0, attributes: 0b1000, records: [{ delta: 0, value: "v", time: 7 }] }));
    assert.equal(events[0]?.time, 1_700_000_009_999);
  });

  it("go past what compaction removed, whole batches included", () => {
    const bytes = Buffer.concat([
      encode({ base: 10, records: [{ delta: 3, value: "a" }], lastDelta: 9 }),
      encode({ base: 20, records: [], lastDelta: 9 }),
      encode({ base: 40, records: [{ delta: 0, value: "b" }], lastDelta: 4 }),
    ]);
    const { chunk, values } = readAll(bytes, 2);
    assert.deepEqual(values, ["13:a", "40:b"]);
    assert.equal(chunk.position, 45);
    assert.equal(endOfBatches(bytes), 45);
  });

  it("leave out aborted transactions until their marker, and only those", () => {
    const record = (value: string) => [{ delta: 0, value }];
    const bytes = Buffer.concat([
      encode({ base: 0, producer: 1n, attributes: TRANSACTIONAL, records: record("aborted") }),
      encode({ base: 1, producer: 2n, attributes: TRANSACTIONAL, records: record("committed") }),
      encode({ base: 2, producer: 1n, records: record("not transactional") }),
      marker(3, 1n, "abort"),
      encode({ base: 4, producer: 1n, attributes: TRANSACTIONAL, records: record("after") }),
      marker(5, 1n, "commit"),
      encode({ base: 6, producer: 1n, attributes: TRANSACTIONAL, records: record("aborted again") }),
      marker(7, 2n, "commit"),
      encode({ base: 8, producer: 1n, attributes: TRANSACTIONAL, records: record("its marker is not here yet") }),
    ]);
    const aborted = [
      { producer: 1n, firstOffset: 6n },
      { producer: 1n, firstOffset: 0n },
    ];
    const { chunk, values } = readAll(bytes, 0, aborted);
    assert.deepEqual(values, ["1:committed", "2:not transactional", "4:after"]);
    assert.equal(chunk.position, 9);
  });

  it("stop at 256 events, and count what still waits", () => {
    const records = Array.from({ length: 750 }, (_, delta) => ({ delta, value: "value" }));
    const bytes = encode({ base: 0, records });
    const chunk = new RecordBatches(bytes, 0, [], origin, "utf8");
    const events: Event<RecordValue>[] = [];
    assert.equal(chunk.waiting, bytes.length);
    assert.equal(chunk.take(events, 0), 256 * 5);
    assert.equal(events.length, 256);
    assert.equal(chunk.position, 256);
    assert.ok(chunk.waiting < bytes.length && chunk.waiting > bytes.length / 2);
    assert.equal(chunk.done, false);
  });

  it("ignore the beginning of a batch that is not whole", () => {
    const whole = encode({ base: 0, records: [{ delta: 0, value: "v" }] });
    const bytes = Buffer.concat([whole, whole.subarray(0, 70)]);
    assert.deepEqual(readAll(bytes).values, ["0:v"]);
    assert.equal(endOfBatches(bytes.subarray(0, 60)), undefined);
  });

  it("name the record that is damaged, behind those before it", async () => {
    const good = encodeRecords([{ delta: 0, value: "v" }]);
    const damaged = encode({ base: 7, records: [{ delta: 0 }, { delta: 1 }], payload: Buffer.concat([good, Buffer.from([0x7e, 0, 0])]) });
    const broken = encode({ base: 7, records: [{ delta: 0 }], attributes: 1, payload: (await compress("gzip", good)).subarray(0, 15) });
    const strange = encode({ base: 7, records: [{ delta: 0 }], attributes: 5, payload: good });
    for (const [bytes, offset, message] of [
      [damaged, 8, /t\/3@8.*ends behind its batch/],
      [broken, 7, /t\/3@7.*gzip/],
      [strange, 7, /t\/3@7.*unknown codec \(5\)/],
    ] as const) {
      const chunk = new RecordBatches(bytes, 0, [], origin, "utf8");
      const events: Event<RecordValue>[] = [];
      assert.throws(
        () => chunk.take(events, 0),
        (error) => error instanceof DataError && error.place?.offset === offset && message.test(error.message),
      );
      assert.equal(events.length, offset - 7);
      assert.equal(chunk.position, offset);
    }
  });
});
