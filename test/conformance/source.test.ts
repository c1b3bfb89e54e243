/** What every source without a broker promises. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import type { Batch, Position } from "../../src/batch.ts";
import { END_OF_INPUT } from "../../src/batch.ts";
import type { Partition, Source, SourceSpec } from "../../src/contracts.ts";
import { PlannedStop } from "../../src/errors.ts";
import { fileSource } from "../../src/sources/file.ts";
import { generatorSource } from "../../src/sources/generator.ts";
import { memorySource } from "../../src/sources/memory.ts";
import { decode } from "../../src/values.ts";
import { openContext } from "../support/open-context.ts";
import { tempFolder } from "../support/temp-folder.ts";

interface Harness {
  readonly name: string;
  /** A source of `count` events, whose value tells its number. */
  readonly make: (t: TestContext, count: number) => SourceSpec;
  readonly numberOf: (value: unknown) => number;
  /** The position of the event of a number. */
  readonly first: Position;
}

const sequence = (count: number) => Array.from({ length: count }, (_, index) => index);
const numberIn = (value: unknown) => decode.json<{ n: number }>(value).n;

function file(t: TestContext, name: string, text: string): SourceSpec {
  const path = join(tempFolder(t), name);
  writeFileSync(path, text);
  return fileSource({ path });
}

async function* eachAwaited(count: number) {
  for (const n of sequence(count)) {
    if (n % 700 === 0) await new Promise((resolve) => setImmediate(resolve));
    yield { value: { n } };
  }
}

const HARNESSES: readonly Harness[] = [
  {
    name: "file of JSON lines",
    make: (t, count) =>
      file(
        t,
        "in.ndjson",
        sequence(count)
          .map((n) => `${JSON.stringify({ n })}\n`)
          .join(""),
      ),
    numberOf: numberIn,
    first: 0,
  },
  {
    name: "file of text",
    make: (t, count) => file(t, "in.txt", sequence(count).join("\r\n")),
    numberOf: Number,
    first: 0,
  },
  {
    name: "CSV file",
    make: (t, count) =>
      file(
        t,
        "in.csv",
        `n,text\n${sequence(count)
          .map((n) => `${n},"a, b"`)
          .join("\n")}`,
      ),
    numberOf: (value) => Number((value as { n: string }).n),
    first: 1,
  },
  {
    name: "generator",
    make: (_, count) => generatorSource({ count }),
    numberOf: (value) => decode.json<{ sequence: number }>(value).sequence,
    first: 0,
  },
  { name: "memory", make: (_, count) => memorySource(sequence(count).map((n) => ({ value: { n } }))), numberOf: numberIn, first: 0 },
  { name: "memory, async", make: (_, count) => memorySource(eachAwaited(count)), numberOf: numberIn, first: 0 },
];

async function open(t: TestContext, spec: SourceSpec, instance = 0): Promise<Source> {
  const source = await spec.open(openContext(t, { instance }), { stateful: false });
  t.after(() => source[Symbol.asyncDispose]());
  return source;
}

async function firstPartition(source: Source, stop: AbortSignal): Promise<Partition> {
  for await (const partition of source.partitions(stop)) return partition;
  throw new Error("the source has no partition");
}

async function batchesOf(t: TestContext, spec: SourceSpec, from?: Position): Promise<Batch[]> {
  await using partition = await firstPartition(await open(t, spec), new AbortController().signal);
  const batches: Batch[] = [];
  for await (const batch of partition.read(from)) batches.push(batch);
  return batches;
}

for (const { name, make, numberOf, first } of HARNESSES) {
  describe(`source: ${name}`, () => {
    const numbersOf = (batches: readonly Batch[]) => batches.flatMap((batch) => batch.events.map((event) => numberOf(event.value)));

    it("gives every event once, in order, in batches of at most 1,024, with positions that never fall", async (t) => {
      const batches = await batchesOf(t, make(t, 5000));
      assert.deepEqual(numbersOf(batches), sequence(5000));
      let position = 0;
      for (const batch of batches) {
        assert.ok(batch.events.length <= 1024);
        for (const { offset } of batch.events) assert.ok(position <= offset && offset < batch.position);
        assert.ok(batch.position >= position);
        ({ position } = batch);
      }
      assert.equal(position, first + 5000);
      assert.deepEqual(
        batches.flatMap(({ events }) => events.map(({ offset }) => offset)),
        sequence(5000).map((n) => n + first),
      );
    });

    it("ends with the watermark that closes all windows, and only there", async (t) => {
      for (const count of [0, 1, 1024, 3000]) {
        const watermarks = (await batchesOf(t, make(t, count))).map(({ watermark }) => watermark);
        assert.equal(watermarks.at(-1), END_OF_INPUT, `${count} events`);
        assert.equal(watermarks.indexOf(END_OF_INPUT), watermarks.length - 1, `${count} events`);
      }
    });

    it("goes on exactly at a position", async (t) => {
      for (const number of [0, 1, 1023, 2500, 2999, 3000]) {
        const batches = await batchesOf(t, make(t, 3000), first + number);
        assert.deepEqual(numbersOf(batches), sequence(3000).slice(number), `from ${number}`);
        assert.equal(batches.at(-1)?.position, first + 3000);
      }
    });

    it("ends soon after a stop, without the watermark of the end and without losing the place", async (t) => {
      const stop = new AbortController();
      const partition = await firstPartition(await open(t, make(t, 100_000)), stop.signal);
      const batches: Batch[] = [];
      for await (const batch of partition.read(undefined)) {
        batches.push(batch);
        if (numbersOf([batch]).includes(3000)) stop.abort(new PlannedStop("test"));
      }
      const numbers = numbersOf(batches);
      assert.ok(numbers.length < 10_000);
      assert.deepEqual(numbers, sequence(numbers.length));
      assert.ok(batches.every(({ watermark }) => watermark !== END_OF_INPUT));
      assert.ok((batches.at(-1)?.position ?? 0) <= first + numbers.length);
      await partition[Symbol.asyncDispose]();
    });

    it("gives nothing when it was stopped before", async (t) => {
      const source = await open(t, make(t, 10));
      for await (const partition of source.partitions(AbortSignal.abort(new PlannedStop("test")))) {
        for await (const batch of partition.read(undefined)) assert.fail(`a batch of ${batch.events.length} events`);
      }
    });

    it("gives the events to one instance only", async (t) => {
      const source = await open(t, make(t, 10), 1);
      for await (const partition of source.partitions(new AbortController().signal)) assert.fail(`partition ${partition.name}`);
    });

    it("can be left in the middle, and disposed of twice", async (t) => {
      const source = await open(t, make(t, 5000));
      const partition = await firstPartition(source, new AbortController().signal);
      for await (const batch of partition.read(undefined)) if (batch.events.length > 0) break;
      await partition.commit(1);
      await partition[Symbol.asyncDispose]();
      await partition[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    });
  });
}
