import assert from "node:assert/strict";
import { test } from "node:test";

import kafkajs from "kafkajs";

import { CODECS, compress, decompress, DecompressionError } from "../../src/kafka/codecs.ts";
import { lz4Length, snappyLength } from "../../src/kafka/inflated-length.ts";
import { capKafkajsCodecs, KAFKAJS_COMPRESSION } from "../../src/kafka/kafkajs-client.ts";

const LIMIT = 1_000_000;

/** Bytes that compress about three times. */
const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `{"device":"d${i % 64}","at":${i * 977}}`).join("\n"));

test("what is compressed inflates to the same, up to exactly the limit", async () => {
  for (const codec of CODECS) {
    const packed = await compress(codec, text);
    assert.ok(packed.length < text.length / 2, codec);
    assert.deepEqual(decompress(codec, packed, text.length), text, codec);
    assert.throws(() => decompress(codec, packed, text.length - 1), refusal(text.length - 1), codec);
  }
});

test("a bomb is refused in every codec, and hardly costs memory", async () => {
  for (const codec of CODECS) {
    const bomb = await compress(codec, Buffer.alloc(200 * LIMIT));
    assert.ok(bomb.length < 10 * LIMIT, codec);
    const before = process.memoryUsage().rss;
    assert.throws(() => decompress(codec, bomb, LIMIT), refusal(LIMIT), codec);
    assert.ok(process.memoryUsage().rss - before < 30 * LIMIT, `${codec} took memory before it refused`);
  }
});

test("a header that lies about the length does not pass", async () => {
  const snappy = await compress("snappy", Buffer.alloc(100_000));
  // The varint of 100,000 has three bytes; 10 is one.
  const lying = Buffer.concat([Buffer.from([10]), snappy.subarray(3)]);
  assert.throws(() => decompress("snappy", lying, LIMIT), DecompressionError);
  const lz4 = Buffer.from(await compress("lz4", Buffer.alloc(100_000)));
  const claiming = Buffer.concat([
    lz4.subarray(0, 4),
    Buffer.from([(lz4[4] ?? 0) | 0b1000, lz4[5] ?? 0]),
    Buffer.alloc(8, 0x7f),
    lz4.subarray(6),
  ]);
  assert.throws(() => decompress("lz4", claiming, LIMIT), refusal(LIMIT));
});

test("snappy-java's chunks are added up", async () => {
  const half = await compress("snappy", Buffer.alloc(600_000, 1));
  const chunk = Buffer.concat([uint32(half.length), half]);
  const header = Buffer.concat([Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]), uint32(1), uint32(1)]);
  assert.equal(snappyLength(Buffer.concat([header, chunk])), 600_000);
  assert.equal(decompress("snappy", Buffer.concat([header, chunk]), LIMIT).length, 600_000);
  assert.throws(() => decompress("snappy", Buffer.concat([header, chunk, chunk]), LIMIT), refusal(LIMIT));
});

test("the length of an LZ4 frame is exact where it decides", async () => {
  for (const data of [text, Buffer.alloc(3_000_000), Buffer.alloc(0), Buffer.from("a")]) {
    const packed = await compress("lz4", data);
    assert.equal(lz4Length(packed, data.length) <= data.length, true, "not more than it has");
    if (data.length > 0) assert.equal(lz4Length(packed, data.length - 1) > data.length - 1, true, "not less than it has");
  }
});

test("damaged data is an error that says so, and the decoders go on working", async () => {
  for (const codec of CODECS) {
    assert.throws(
      () => decompress(codec, Buffer.from("this is not what it says it is")),
      (error) => error instanceof DecompressionError && error.codec === codec && /can't be inflated/.test(error.message),
    );
    assert.throws(() => decompress(codec, Buffer.alloc(0)), DecompressionError);
    assert.deepEqual(decompress(codec, await compress(codec, text)), text);
  }
});

test("kafkajs inflates under the limit", async (t) => {
  t.after(() => capKafkajsCodecs());
  capKafkajsCodecs(LIMIT);
  for (const codec of CODECS) {
    const bomb = await compress(codec, Buffer.alloc(LIMIT + 1));
    const codecs = kafkajs.CompressionCodecs as Readonly<Record<number, () => KafkajsCodec>>;
    const codecOfKafkajs = codecs[KAFKAJS_COMPRESSION[codec]]?.() as KafkajsCodec;
    await assert.rejects(codecOfKafkajs.decompress(bomb), refusal(LIMIT), codec);
    const fine = await codecOfKafkajs.compress({ buffer: text });
    assert.deepEqual(await codecOfKafkajs.decompress(fine), text);
  }
});

interface KafkajsCodec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(data: Buffer): Promise<Buffer>;
}

function refusal(limit: number): (error: unknown) => boolean {
  return (error) => error instanceof DecompressionError && error.message.includes(`more than ${limit} bytes`);
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}
