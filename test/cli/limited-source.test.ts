import assert from "node:assert/strict";
import { test } from "node:test";

import { type Batch, END_OF_INPUT, type Event, NO_WATERMARK } from "../../src/batch.ts";
import { LimitedSource } from "../../src/cli/limited-source.ts";
import type { Partition, Source } from "../../src/contracts.ts";

function event(offset: number): Event {
  const origin = { system: "memory", name: "m", partition: undefined };
  return { value: offset, key: undefined, time: Number.NaN, headers: undefined, origin, offset, watermark: NO_WATERMARK, size: 0 };
}

/** Batches of two events without an end, until it is stopped; offsets rise by 10, as in a log with gaps. */
function endless(stopped: AbortSignal[]): Source {
  const dispose = () => Promise.resolve();
  return {
    async *partitions(stop): AsyncGenerator<Partition> {
      stopped.push(stop);
      yield {
        name: "only",
        signal: new AbortController().signal,
        async *read() {
          for (let offset = 0; ; offset += 20) {
            yield { events: [event(offset), event(offset + 10)], position: offset + 11, watermark: NO_WATERMARK };
          }
        },
        commit: () => Promise.resolve(),
        [Symbol.asyncDispose]: dispose,
      };
    },
    [Symbol.asyncDispose]: dispose,
  };
}

async function readAll(limit: number): Promise<{ readonly batches: readonly Batch[]; readonly stop: AbortSignal | undefined }> {
  const stops: AbortSignal[] = [];
  const batches: Batch[] = [];
  for await (const partition of new LimitedSource(endless(stops), limit).partitions(new AbortController().signal)) {
    for await (const batch of partition.read(undefined)) batches.push(batch);
  }
  return { batches, stop: stops[0] };
}

test("the batch with the limit in it is cut, up to the first event that is left out; then the input ends", async () => {
  const { batches, stop } = await readAll(3);
  assert.deepEqual(
    batches.map(({ events, position, watermark }) => [events.map(({ offset }) => offset), position, watermark]),
    [
      [[0, 10], 11, NO_WATERMARK],
      [[20], 30, NO_WATERMARK],
      [[], 30, END_OF_INPUT],
    ],
  );
  assert.equal(stop?.aborted, true);
});

test("a limit at the end of a batch leaves it whole", async () => {
  const { batches } = await readAll(2);
  assert.deepEqual(
    batches.map(({ events, position }) => [events.length, position]),
    [
      [2, 11],
      [0, 11],
    ],
  );
});
