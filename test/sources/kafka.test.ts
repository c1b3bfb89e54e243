import assert from "node:assert/strict";
import { it } from "node:test";

import type { Batch, Event } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import type { Partition } from "../../src/contracts.ts";
import { DataError } from "../../src/errors.ts";
import { DecodedPartition } from "../../src/sources/decoded-partition.ts";
import { kafkaSource, kafkaSourceConfig } from "../../src/sources/kafka.ts";
import { decoderFor } from "../../src/values.ts";

it("needs one of topic and topics, and names what is wrong", () => {
  const wrong = (config: unknown): string => kafkaSourceConfig.safeParse(config).error?.message ?? "";
  assert.match(wrong({}), /either \\"topic\\" or \\"topics\\"/);
  assert.match(wrong({ topic: "a", topics: ["b"] }), /either \\"topic\\" or \\"topics\\"/);
  assert.match(wrong({ topic: "a b" }), /no topic name/);
  assert.match(wrong({ topic: ".." }), /no topic name/);
  assert.match(wrong({ topic: "a", gruop: "x" }), /gruop/);
  assert.match(wrong({ topic: "a", sessionTimeout: "10 apples" }), /milliseconds, or a number with a unit/);
  assert.match(wrong({ topic: "a", maxWaiting: 10 }), /65536/);
});

it("takes what it has checked once more, with the same result", () => {
  const config = kafkaSourceConfig.parse({ topic: "a", create: { partitions: 3 } });
  assert.deepEqual(kafkaSourceConfig.parse(config), config);
  assert.equal(config.from, "earliest");
  assert.equal(config.onOutOfRange, "fail");
});

it("describes itself without connecting", () => {
  const { kind, description, finite, timestamps, partitioned } = kafkaSource({ topics: ["a", "b"], group: "g", format: "json" });
  assert.deepEqual([kind, finite, timestamps, partitioned], ["kafka", false, true, true]);
  assert.deepEqual(description, {
    topics: "a, b",
    group: "g",
    from: "earliest",
    format: "json",
    keyEncoding: undefined,
    onOutOfRange: "fail",
  });
});

it("decodes values, and ends at a record that is no JSON behind everything before it", async () => {
  const origin = { system: "kafka", name: "t", partition: 0 };
  const events = ['{"n":1}', null, "oops", '{"n":2}'].map((text, index) => {
    const value = text === null ? null : Buffer.from(text);
    return {
      value,
      key: undefined,
      time: 0,
      headers: undefined,
      origin,
      offset: 10 + index,
      watermark: NO_WATERMARK,
      size: 0,
    } satisfies Event;
  });
  const partition: Partition<Uint8Array | null> = {
    name: "t/0",
    signal: new AbortController().signal,
    async *read() {
      yield { events, position: 14, watermark: NO_WATERMARK };
    },
    commit: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const batches: Batch[] = [];
  await assert.rejects(
    async () => {
      for await (const batch of new DecodedPartition(partition, decoderFor("json")).read(undefined)) batches.push(batch);
    },
    (error) =>
      error instanceof DataError && error.step === "source" && error.place?.offset === 12 && error.message.includes("kafka t/0@12"),
  );
  assert.deepEqual(
    batches.map(({ events, position }) => [events.map(({ value }) => value), position]),
    [[[{ n: 1 }, null], 12]],
  );
});
