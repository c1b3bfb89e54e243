/**
 * One run of a pipeline with many open keyed aggregates, in a process of its own: `fill` opens them and goes on at a steady rate, `restore` goes on
 * from what that left. What it measured is its last line, as JSON. Started by bench/checkpoints.ts.
 */
import "../../src/hooks.ts";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";

import type { Batch, Event, Origin, Position } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import type { CheckpointStoreSettings } from "../../src/checkpoint-settings.ts";
import type { CheckpointClaim, CheckpointStore } from "../../src/checkpoint-store.ts";
import { openCheckpointStore } from "../../src/checkpoints/open.ts";
import { systemClock } from "../../src/clock.ts";
import type { OpenContext, Partition, Source, SourceSpec } from "../../src/contracts.ts";
import { PlannedStop } from "../../src/errors.ts";
import { from, tumbling } from "../../src/index.ts";
import { createInstance } from "../../src/pipeline/instance.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { benchContext } from "../measure.ts";
import { percentile } from "./percentile.ts";

/** What a run is to do. */
export interface AggregatesRun {
  readonly mode: "fill" | "restore";
  /** Undefined: no checkpoints. */
  readonly store: CheckpointStoreSettings | undefined;
  readonly nats: string;
  /** The id under which its checkpoints are kept. */
  readonly task: string;
  readonly keys: number;
  /** Events a second once all are open, each of another key than those in the second before it. */
  readonly rate: number;
  /** Of that, after the first checkpoint of all. */
  readonly seconds: number;
}

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  /** The longest that an event had to wait: the longest stop of the stream. */
  readonly max: number;
}

export interface FillFigures {
  /** While the first checkpoint is made, of all aggregates; the same time at the rate where there is none. */
  readonly first: Latency;
  readonly steady: Latency;
  /** CPU seconds that the process took for a second at the rate. */
  readonly cores: number;
  /** From the barrier to when it was saved, in milliseconds, and bytes written: the first one, and those after it. */
  readonly saves: readonly Save[];
}

export interface Save {
  readonly milliseconds: number;
  readonly bytes: number;
}

export interface RestoreFigures {
  /** From the start of the instance until its first event is in its window, in milliseconds. */
  readonly milliseconds: number;
  readonly cpuMilliseconds: number;
  /** The longest turn of the event loop meanwhile. */
  readonly longestTurn: number;
}

interface Reading {
  /** When it should have come, by performance.now(). */
  readonly due: number;
  readonly amount: number;
}

const PER_BATCH = 1024;
const START = 1_700_000_000_000;
const INTERVAL = 1000;
const origin: Origin = { system: "memory", name: "bench", partition: 0 };

const given = JSON.parse(process.argv[2] ?? "{}") as AggregatesRun;
// JSON has no undefined.
const wanted: AggregatesRun = { ...given, store: given.store ?? undefined };
const { keys, rate } = wanted;
const names = Array.from({ length: keys }, (_, index) => `sensor-${(index * 7919) % keys}`);

/** What is measured while the pipeline runs. */
class Measured {
  latencies: number[] = [];
  /** Called with each event as it comes into its window. */
  onEvent: () => void = () => undefined;
  /** Of the barriers since all aggregates were open. */
  readonly saves: Save[] = [];
  /** When each barrier went through that is not saved yet. */
  readonly barriers: { readonly at: number; readonly opened: number }[] = [];
  /** How many aggregates are open. */
  opened = 0;
  readonly firstSaved = Promise.withResolvers<void>();
}

const measured = new Measured();

/** The clock stands until all aggregates are open, so that the first checkpoint has all of them. */
let frozen: number | undefined = Date.now();
const clock = { ...systemClock, now: () => frozen ?? systemClock.now() };

const fold = {
  init: () => {
    measured.opened += 1;
    return { count: 0, total: 0, highest: Number.NEGATIVE_INFINITY };
  },
  add: (state: { count: number; total: number; highest: number }, { due, amount }: Reading) => {
    measured.latencies.push(performance.now() - due);
    measured.onEvent();
    state.count += 1;
    state.total += amount;
    state.highest = Math.max(state.highest, amount);
    return state;
  },
};

function eventAt(offset: Position, due: number): Event<Reading> {
  const value = { due, amount: offset % 1000 };
  const key = names[offset % keys];
  return { value, key, time: START, headers: undefined, origin, offset, watermark: NO_WATERMARK, size: 40 };
}

function batchOf(first: Position, count: number, due: (index: number) => number): Batch<Reading> {
  const events = Array.from({ length: count }, (_, index) => eventAt(first + index, due(index)));
  return { events, position: first + count, watermark: NO_WATERMARK };
}

async function* filling(): AsyncGenerator<Batch<Reading>> {
  for (let first = 0; first < keys; first += PER_BATCH) {
    const now = performance.now();
    yield batchOf(first, Math.min(PER_BATCH, keys - first), () => now);
    await turn();
  }
}

/** Events as they become due, whatever has become of those before. */
async function* atRate(first: Position, stop: AbortSignal): AsyncGenerator<Batch<Reading>> {
  const began = performance.now();
  const dueOf = (index: number) => began + (index * 1000) / rate;
  for (let given = 0; !stop.aborted;) {
    const count = Math.min(PER_BATCH, Math.floor(((performance.now() - began) * rate) / 1000) - given);
    if (count > 0) {
      const before = given;
      given += count;
      yield batchOf(first + before, count, (index) => dueOf(before + index));
      await turn();
    } else await delay(1);
  }
}

async function* input(stop: AbortSignal, begun: () => void): AsyncGenerator<Batch> {
  if (wanted.mode === "fill") {
    yield* filling();
    measured.latencies = [];
    frozen = undefined;
    begun();
    yield* atRate(keys, stop);
    return;
  }
  yield batchOf(keys, 1, () => performance.now());
  while (!stop.aborted) await delay(1);
}

function sourceOf(stop: AbortSignal, begun: () => void): Source {
  const partition: Partition = {
    name: "bench",
    signal: new AbortController().signal,
    read: () => input(stop, begun),
    commit: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return {
    async *partitions() {
      yield partition;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const spec: SourceSpec<Reading> = {
  kind: "memory",
  description: {},
  finite: false,
  timestamps: true,
  partitioned: false,
  open: () => Promise.reject(new Error("opened otherwise")),
};

const plan = from(spec)
  .via("marks", async function* (batches) {
    for await (const batch of batches) {
      if (batch.barrier !== undefined) measured.barriers.push({ at: performance.now(), opened: measured.opened });
      yield batch;
    }
  })
  .window(tumbling("1d"), { fold, maxOpen: keys })
  .to({ kind: "memory", description: {}, open: () => Promise.reject(new Error("opened otherwise")) });

/** The store, with a look at what each save takes. */
function watched(store: CheckpointStore): CheckpointStore {
  const claim = async (...given: Parameters<CheckpointStore["claim"]>): Promise<CheckpointClaim> => {
    const claimed = await store.claim(...given);
    const save: CheckpointClaim["save"] = async (checkpoint, signal) => {
      await claimed.save(checkpoint, signal);
      const bytes = [...checkpoint.added.values()].reduce((sum, part) => sum + part.length, checkpoint.manifest.length);
      const barrier = measured.barriers.shift();
      // One is made at once when a partition begins.
      if (barrier === undefined || barrier.opened < keys) return;
      measured.saves.push({ milliseconds: performance.now() - barrier.at, bytes });
      measured.firstSaved.resolve();
    };
    return {
      name: claimed.name,
      epoch: claimed.epoch,
      manifests: claimed.manifests,
      save,
      finish: (signal) => claimed.finish(signal),
      sweep: (parts, signal) => claimed.sweep(parts, signal),
    };
  };
  return {
    claim,
    list: (task, signal) => store.list(task, signal),
    part: (name, id, signal) => store.part(name, id, signal),
    remove: (name, signal) => store.remove(name, signal),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

function latencyOf(latencies: readonly number[]): Latency {
  const sorted = Float64Array.from(latencies).sort();
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: sorted.at(-1) ?? Number.NaN };
}

async function fill(running: Promise<unknown>, begun: Promise<void>, stop: AbortController): Promise<FillFigures> {
  await begun;
  await (wanted.store === undefined ? delay(INTERVAL) : measured.firstSaved.promise);
  const first = latencyOf(measured.latencies);
  measured.latencies = [];
  const cpu = process.cpuUsage();
  const since = performance.now();
  await delay(wanted.seconds * 1000);
  const used = process.cpuUsage(cpu);
  const cores = (used.user + used.system) / 1000 / (performance.now() - since);
  const steady = latencyOf(measured.latencies);
  const saves = [...measured.saves];
  stop.abort(new PlannedStop("measured"));
  await running;
  return { first, steady, cores, saves };
}

async function restore(running: Promise<unknown>, stop: AbortController): Promise<RestoreFigures> {
  const cpu = process.cpuUsage();
  const since = performance.now();
  const turns = monitorEventLoopDelay({ resolution: 1 });
  turns.enable();
  const { promise, resolve } = Promise.withResolvers<void>();
  measured.onEvent = resolve;
  await Promise.race([promise, running]);
  const milliseconds = performance.now() - since;
  const used = process.cpuUsage(cpu);
  turns.disable();
  stop.abort(new PlannedStop("measured"));
  await running;
  return { milliseconds, cpuMilliseconds: (used.user + used.system) / 1000, longestTurn: turns.max / 1e6 };
}

const stop = new AbortController();
const begun = Promise.withResolvers<void>();
const base = benchContext();
const context: OpenContext = {
  ...base,
  task: { ...base.task, id: wanted.task },
  clock,
  shared: openSharedResources(),
  connections: { ...base.connections, nats: { servers: [wanted.nats], credentials: undefined } },
};
await using lease = wanted.store === undefined ? undefined : await openCheckpointStore(wanted.store, context);
if (wanted.mode === "restore") frozen = undefined;
const running = createInstance(plan, context, {
  openSource: () => Promise.resolve(sourceOf(stop.signal, () => begun.resolve())),
  openSink: () => Promise.resolve({ write: () => Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() }),
  checkpoints: lease && { store: watched(lease.resource), interval: INTERVAL, misfit: "refuse" },
}).run(stop.signal);
const figures = wanted.mode === "fill" ? await fill(running, begun.promise, stop) : await restore(running, stop);
console.log(JSON.stringify(figures));
