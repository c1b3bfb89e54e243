import assert from "node:assert/strict";
import { test } from "node:test";

import { compatibilityPartitioner } from "@platformatic/kafka";
import fc from "fast-check";
import kafkajs from "kafkajs";

import { murmur2, partitionOfKey, STICKY_BYTES, StickyPartition } from "../../src/kafka/partitioner.ts";

const kafkajsPartitioner = kafkajs.Partitioners.DefaultPartitioner();

test("hashes as Java's Utils.murmur2 does", () => {
  // From Kafka's own UtilsTest.
  const cases: readonly [string, number][] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ];
  for (const [text, hash] of cases) assert.equal(murmur2(Buffer.from(text)), hash, text);
  assert.equal(murmur2(Buffer.from("abc")), 479470107);
});

test("puts any key where both clients' partitioners for Java put it", () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ minLength: 250, maxLength: 300 }));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 64 }), (key, count) => {
      const bytes = Buffer.from(key);
      const expected = compatibilityPartitioner({ topic: "", value: bytes }, bytes) % count;
      assert.equal(partitionOfKey(key, count), expected);
      assert.equal(partitionOfKey(bytes, count), expected);
      assert.equal(partitionByKafkajs(bytes, count), expected);
    }),
    { numRuns: 500 },
  );
});

test("stays with a partition for some bytes, then takes the next one", () => {
  const sticky = new StickyPartition(6);
  const seen: number[] = [];
  for (let call = 0; call < 8; call++) {
    seen.push(sticky.next(4));
    sticky.add(STICKY_BYTES / 2);
  }
  assert.deepEqual(seen, [2, 2, 3, 3, 0, 0, 1, 1]);
});

function partitionByKafkajs(key: Buffer, count: number): number {
  const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({
    partitionId,
    partitionErrorCode: 0,
    leader: 1,
    replicas: [1],
    isr: [1],
  }));
  return kafkajsPartitioner({ topic: "t", partitionMetadata, message: { key, value: null } });
}
