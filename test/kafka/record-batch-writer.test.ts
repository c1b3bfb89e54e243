import assert from "node:assert/strict";
import { test } from "node:test";

import { crc32c, Reader, readRecordsBatch } from "@platformatic/kafka";
import fc from "fast-check";

import { CODECS } from "../../src/kafka/codecs.ts";
import { BATCH_OVERHEAD, type OutgoingRecord, outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import { signBatch, writeBatch } from "../../src/kafka/record-batch-writer.ts";

const identity = { producerId: 4711n, producerEpoch: 3, sequence: 99 };

const bytes = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ minLength: 100, maxLength: 20_000 }), fc.uint8Array());
const record: fc.Arbitrary<OutgoingRecord> = fc
  .tuple(
    fc.option(bytes, { nil: undefined }),
    fc.option(bytes, { nil: null }),
    fc.oneof(fc.integer({ min: 0, max: 4_102_444_800_000 }), fc.integer({ min: -(2 ** 51), max: 2 ** 51 })),
    fc.option(fc.array(fc.tuple(fc.string(), bytes), { maxLength: 5 }), { nil: undefined }),
  )
  .map((parts) => outgoingRecord(...parts));

test("what is written is what the client's own reader reads", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 20 }), async (records) => {
      const batch = await writeBatch(records, "none", identity, 0);
      const read = readRecordsBatch(Reader.from(batch));
      assert.equal(read.records.length, records.length);
      for (const [index, { key, value, time, headers }] of records.entries()) {
        const found = read.records[index];
        assert.equal(found?.offsetDelta, index);
        assert.equal(read.firstTimestamp + (found?.timestampDelta ?? 0n), BigInt(time));
        assert.deepEqual(contentOf(found?.key), key === undefined ? null : Buffer.from(key));
        assert.deepEqual(contentOf(found?.value), value === null ? null : Buffer.from(value));
        const expected = (headers ?? []).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]);
        assert.deepEqual(
          found?.headers.map(([name, text]) => [contentOf(name), contentOf(text)]),
          expected,
        );
      }
    }),
    { numRuns: 300 },
  );
});

test("a batch is never larger than its records were measured", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 20 }), async (records) => {
      const measured = records.reduce((sum, { size }) => sum + size, BATCH_OVERHEAD);
      assert.ok((await writeBatch(records, "none", identity, 0)).length <= measured);
    }),
    { numRuns: 300 },
  );
});

test("the header says who wrote it, what is in it and when", async () => {
  const records = [
    outgoingRecord("k", "1", 1000, undefined),
    outgoingRecord("k", "2", 3000, undefined),
    outgoingRecord("k", "3", 2000, undefined),
  ];
  const batch = await writeBatch(records, "none", identity, 0);
  const read = readRecordsBatch(Reader.from(batch));
  assert.equal(batch.length, read.length + 12);
  assert.equal(read.magic, 2);
  assert.equal(read.lastOffsetDelta, 2);
  assert.equal(read.firstTimestamp, 1000n);
  assert.equal(read.maxTimestamp, 3000n);
  assert.deepEqual([read.producerId, read.producerEpoch, read.firstSequence], [4711n, 3, 99]);
  assert.equal(read.crc, crc32c(batch.subarray(21)));
  signBatch(batch, { producerId: 1n, producerEpoch: 0, sequence: 0 });
  const signed = readRecordsBatch(Reader.from(batch));
  assert.deepEqual([signed.producerId, signed.producerEpoch, signed.firstSequence], [1n, 0, 0]);
  assert.equal(signed.crc, crc32c(batch.subarray(21)));
});

test("a record without a time has the time of writing", async () => {
  const batch = await writeBatch([outgoingRecord(undefined, "v", Number.NaN, undefined)], "none", identity, 1234);
  assert.equal(readRecordsBatch(Reader.from(batch)).firstTimestamp, 1234n);
});

test("compressed records are marked and inflate to the same", async () => {
  const records = Array.from({ length: 100 }, (_, n) => outgoingRecord(`k${n}`, "x".repeat(100), n, undefined));
  const plain = await writeBatch(records, "none", identity, 0);
  for (const [index, codec] of CODECS.entries()) {
    const batch = await writeBatch(records, codec, identity, 0);
    assert.ok(batch.length < plain.length / 2, codec);
    const read = readRecordsBatch(Reader.from(batch));
    assert.equal(read.attributes, index + 1);
    assert.equal(read.crc, crc32c(batch.subarray(21)));
    assert.deepEqual(
      read.records.map(({ key }) => String(key)),
      records.map(({ key }) => key),
    );
  }
});

test("what can't be a record is refused before it is written", () => {
  assert.throws(() => outgoingRecord("k", "v", 1e300, undefined), /1e\+300 is no time/);
  assert.throws(() => outgoingRecord("k", "v", Number.POSITIVE_INFINITY, undefined), /no time/);
  assert.throws(() => outgoingRecord("k", 5 as unknown as string, 1, undefined), /must be text or bytes/);
  assert.throws(() => outgoingRecord("k", "v", 1, [["name", 5 as unknown as string]]), /must be text or bytes/);
});

/** The reader gives no buffer for what is null, and views of its own. */
function contentOf(value: Buffer | null | undefined): Buffer | null {
  return value === null || value === undefined ? null : Buffer.from(value);
}
