/**
 * In memory: decode JSON (60 bytes) → filter → keyed 10 s window → async model, 8 in flight → sink; beside a loop written
 * by hand that does the same, and with checkpoints ten times a second (kept in memory), as what they cost each event. Prints events/s and
 * CPU seconds per million of each, and the ratios of their times.
 *
 *   node bench/in-memory.ts [events, default 2000000]
 */
import "../src/hooks.ts";
import { setImmediate as turn } from "node:timers/promises";

import type { Batch, Event, Origin } from "../src/batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../src/batch.ts";
import type { Partition, SinkSpec, SourceSpec } from "../src/contracts.ts";
import { count, decode, from, tumbling } from "../src/index.ts";
import { createInstance } from "../src/pipeline/instance.ts";
import type { CheckpointOptions } from "../src/pipeline/state/checkpoints.ts";
import { MemoryCheckpoints } from "../test/support/memory-checkpoints.ts";
import { benchContext, median, row, timed } from "./measure.ts";

interface Reading {
  readonly device: string;
  readonly at: number;
  readonly celsius: number;
}

const EVENTS = Number(process.argv[2] ?? 2_000_000);
const PER_BATCH = 1024;
/** Batches until the event loop has a turn. */
const PER_TURN = 8;
const DEVICES = 64;
const START = 1_700_000_000_000;
const ROUNDS = 5;

/** All readings one after the other, as a broker's reply would have them, and where each ends. */
function makeReadings(): { bytes: Buffer; ends: Uint32Array } {
  const ends = new Uint32Array(EVENTS);
  const bytes = Buffer.alloc(EVENTS * 64);
  let length = 0;
  for (let index = 0; index < EVENTS; index++) {
    const reading = { device: `device-${index % DEVICES}`, at: START + index, celsius: (index % 400) / 10 };
    length += bytes.write(JSON.stringify(reading), length);
    ends[index] = length;
  }
  return { bytes: bytes.subarray(0, length), ends };
}

const { bytes, ends } = makeReadings();
const origin: Origin = { system: "memory", name: "bench", partition: 0 };

async function* batches(): AsyncGenerator<Batch> {
  let start = 0;
  for (let first = 0; first < EVENTS; first += PER_BATCH) {
    const last = Math.min(first + PER_BATCH, EVENTS);
    const events: Event[] = [];
    for (let offset = first; offset < last; offset++) {
      const end = ends[offset] as number;
      const value = bytes.subarray(start, end);
      events.push({ value, key: undefined, time: START, headers: undefined, origin, offset, watermark: NO_WATERMARK, size: end - start });
      start = end;
    }
    yield { events, position: last, watermark: last === EVENTS ? END_OF_INPUT : NO_WATERMARK };
    // As behind any broker: what writes checkpoints has its turns.
    if (last % (PER_TURN * PER_BATCH) === 0) await turn();
  }
}

const partition: Partition = {
  name: "bench",
  signal: new AbortController().signal,
  read: batches,
  commit: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

const source: SourceSpec<Uint8Array> = {
  kind: "memory",
  description: {},
  finite: true,
  timestamps: true,
  partitioned: false,
  open: () =>
    Promise.resolve({
      async *partitions() {
        yield partition as Partition<Uint8Array>;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};

const model = async (windows: readonly { readonly count: number }[]): Promise<number[]> => windows.map((window) => window.count * 2);

async function throughMillrace(checkpoints?: CheckpointOptions): Promise<number> {
  let results = 0;
  const sink: SinkSpec = {
    kind: "memory",
    description: {},
    open: () =>
      Promise.resolve({
        write: (events) => {
          results += events.length;
          return Promise.resolve();
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
  const plan = from(source)
    .map(decode.json<Reading>)
    .filter((reading) => reading.celsius >= 1)
    .keyBy((reading) => reading.device)
    .timeBy((reading) => reading.at)
    .window(tumbling("10s"), { fold: count() })
    .infer(model, { maxInFlight: 8 })
    .to(sink);
  await createInstance(plan, benchContext(), { checkpoints }).run(new AbortController().signal);
  return results;
}

/** The same by hand: nothing but what this job needs. Calls are started as windows close and awaited in order, eight at a time. */
async function byHand(): Promise<number> {
  let results = 0;
  let start = 0;
  const open = new Map<number, Map<string, { key: string; count: number }>>();
  let watermark = Number.NEGATIVE_INFINITY;
  const inFlight: Promise<number[]>[] = [];
  const finish = async (most: number) => {
    while (inFlight.length > most) results += (await (inFlight.shift() as Promise<number[]>)).length;
  };
  for (let first = 0; first < EVENTS; first += PER_BATCH) {
    const last = Math.min(first + PER_BATCH, EVENTS);
    const closed: { key: string; count: number }[] = [];
    for (let offset = first; offset < last; offset++) {
      const end = ends[offset] as number;
      const reading = JSON.parse(bytes.toString("latin1", start, end)) as Reading;
      start = end;
      if (!(reading.celsius >= 1)) continue;
      const window = Math.floor(reading.at / 10_000) * 10_000;
      let keys = open.get(window);
      if (keys === undefined) open.set(window, (keys = new Map()));
      const state = keys.get(reading.device);
      if (state === undefined) keys.set(reading.device, { key: reading.device, count: 1 });
      else state.count += 1;
      watermark = Math.max(watermark, reading.at);
      if (open.size > 1) {
        for (const [begin, states] of open) {
          if (begin + 10_000 > watermark) continue;
          closed.push(...states.values());
          open.delete(begin);
        }
      }
    }
    if (closed.length > 0) inFlight.push(model(closed));
    await finish(7);
  }
  for (const states of open.values()) inFlight.push(model([...states.values()]));
  await finish(0);
  return results;
}

const ratios: number[] = [];
const overheads: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const hand = await timed(byHand);
  const ours = await timed(() => throughMillrace());
  const store = new MemoryCheckpoints();
  const saving = await timed(() => throughMillrace({ store, interval: 100, misfit: "refuse" }));
  if (hand.result !== ours.result || ours.result !== saving.result)
    throw new Error(`results differ: ${hand.result} by hand, ${ours.result} and ${saving.result} through Millrace`);
  // The first round warms both up.
  if (round === 0) continue;
  ratios.push(ours.seconds / hand.seconds);
  overheads.push(saving.cpuSeconds / ours.cpuSeconds);
  console.log(row("by hand", EVENTS, hand));
  console.log(row("millrace", EVENTS, ours));
  console.log(row(`with ${store.saves.length} checkpoints`, EVENTS, saving));
}
console.log(`time of millrace / by hand: median ${median(ratios).toFixed(2)} of ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}`);
console.log(
  `CPU with checkpoints / without: median ${median(overheads).toFixed(3)} of ${overheads.map((ratio) => ratio.toFixed(3)).join(" ")}`,
);
