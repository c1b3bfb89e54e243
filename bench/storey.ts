/**
 * Beside Storey, the engine of MLRun's serving graphs, in turns in the same run: four cheap steps (map, filter, map, map), and preprocess
 * (async) → predict (2 processes, 2 calls in flight) → postprocess (threads). Storey does one event at a time; so do our functions, and models get
 * what is there. Prints events/s of each, medians of the rounds, and how many times Storey's rate ours is (wanted: 150 times for
 * the map chain, 20 times with the models). The first run installs Storey (Python 3.9 to 3.13 with venv and pip).
 *
 *   node bench/storey.ts [rounds, default 3] [seconds of Storey's part of a round, about, default 4]
 */
import "../src/hooks.ts";
import { execFile } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Batch, Event, Origin } from "../src/batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../src/batch.ts";
import type { Partition, SinkSpec, SourceSpec } from "../src/contracts.ts";
import { from, processes, threads } from "../src/index.ts";
import { createInstance } from "../src/pipeline/instance.ts";
import type { Plan } from "../src/pipeline/plan.ts";
import { openSharedResources } from "../src/shared-resources.ts";
import { benchContext, median } from "./measure.ts";
import type postprocess from "./support/models/postprocess.ts";
import type predict from "./support/models/predict.ts";
import { pythonWith } from "./support/python.ts";

/** Storey imports `packaging` without asking for it. */
const PACKAGES = ["storey==1.14.1", "packaging==25.0"];
const FLOWS = fileURLToPath(new URL("./peers/storey/flows.py", import.meta.url));
const ROUNDS = Number(process.argv[2] ?? 3);
const SECONDS = Number(process.argv[3] ?? 4);
const PER_BATCH = 1024;

interface Reading {
  readonly sequence: number;
  readonly values: readonly number[];
}

interface Result {
  readonly sequence: number;
  readonly alarm: boolean;
}

interface Measured {
  readonly events: number;
  readonly alarms: number;
  readonly inOrder: boolean;
  /** From the first event to the end. */
  readonly seconds: number;
}

/** A job, and what Storey does of it in a second, about. */
interface Job {
  readonly name: "map" | "chain";
  readonly wanted: number;
  readonly storeyRate: number;
  readonly plan: (source: SourceSpec<Reading>, sink: SinkSpec) => Plan;
}

const jobs: readonly Job[] = [
  {
    name: "map",
    wanted: 150,
    storeyRate: 6000,
    plan: (source, sink) =>
      from(source)
        .map(({ sequence, values }) => ({ sequence, total: values.reduce((sum, value) => sum + value, 0) }))
        .filter(({ total }) => total >= 0)
        .map(({ sequence, total }) => ({ sequence, mean: total / 8 }))
        .map(({ sequence, mean }): Result => ({ sequence, alarm: mean > 50 }))
        .to(sink),
  },
  {
    name: "chain",
    wanted: 20,
    storeyRate: 2000,
    plan: (source, sink) =>
      from(source)
        .mapAsync(async ({ sequence, values }) => ({ sequence, features: values.map((value) => value / 10) }), { maxInFlight: 8 })
        // Two calls under way, as there; those that wait behind them are joined.
        .infer(processes<typeof predict>(import.meta.resolve("./support/models/predict.ts"), { processes: 2, maxInFlight: 1 }), {
          name: "predict",
          maxInFlight: 32,
        })
        .infer(threads<typeof postprocess>(import.meta.resolve("./support/models/postprocess.ts"), { threads: 2 }), {
          name: "postprocess",
          maxInFlight: 32,
        })
        .to(sink),
  },
];

const origin: Origin = { system: "memory", name: "bench", partition: 0 };

const VALUES = Array.from({ length: 97 }, (_, first) => Array.from({ length: 8 }, (__, k) => first + k));

async function throughMillrace({ plan }: Job, events: number): Promise<Measured> {
  let begin = 0;
  async function* read(): AsyncGenerator<Batch> {
    begin = performance.now();
    for (let first = 0; first < events; first += PER_BATCH) {
      const last = Math.min(first + PER_BATCH, events);
      const batch: Event[] = [];
      for (let offset = first; offset < last; offset++) {
        const value: Reading = { sequence: offset, values: VALUES[offset % VALUES.length] as number[] };
        batch.push({ value, key: undefined, time: 0, headers: undefined, origin, offset, watermark: NO_WATERMARK, size: 100 });
      }
      yield { events: batch, position: last, watermark: last === events ? END_OF_INPUT : NO_WATERMARK };
      // As behind any broker.
      await turn();
    }
  }
  const partition: Partition = {
    name: "bench",
    signal: new AbortController().signal,
    read,
    commit: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const source: SourceSpec<Reading> = {
    kind: "memory",
    description: {},
    finite: true,
    timestamps: true,
    partitioned: false,
    open: () =>
      Promise.resolve({
        async *partitions() {
          yield partition as Partition<Reading>;
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
  const summary = { events: 0, alarms: 0, inOrder: true };
  let end = 0;
  const sink: SinkSpec = {
    kind: "memory",
    description: {},
    open: () =>
      Promise.resolve({
        write: (written) => {
          for (const { value } of written as readonly Event<Result>[]) {
            summary.inOrder &&= value.sequence === summary.events;
            summary.events += 1;
            if (value.alarm) summary.alarms += 1;
          }
          end = performance.now();
          return Promise.resolve();
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
  await createInstance(plan(source, sink), benchContext({ shared: openSharedResources() })).run(new AbortController().signal);
  return { ...summary, seconds: (end - begin) / 1000 };
}

async function throughStorey(python: string, { name }: Job, events: number): Promise<Measured> {
  const { stdout } = await promisify(execFile)(python, [FLOWS, name, String(events)]);
  return JSON.parse(stdout) as Measured;
}

/** Both must have done the work, each for its number of events. */
function check(who: string, { events, alarms, inOrder }: Measured, wanted: number): void {
  let expected = 0;
  for (let sequence = 0; sequence < wanted; sequence++) if ((sequence % 97) + 3.5 > 50) expected += 1;
  if (events !== wanted || alarms !== expected || !inOrder)
    throw new Error(`${who}: ${events} of ${wanted} events, ${alarms} of ${expected} alarms, in order: ${inOrder}`);
}

const python = await pythonWith("storey-1.14.1", PACKAGES);
for (const job of jobs) {
  // As many as take as long, if ours is as many times as fast as is wanted.
  const few = job.storeyRate * SECONDS;
  const many = few * job.wanted;
  const rates: { storey: number[]; millrace: number[] } = { storey: [], millrace: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const storey = await throughStorey(python, job, few);
    check("Storey", storey, few);
    rates.storey.push(few / storey.seconds);
    const millrace = await throughMillrace(job, many);
    check("Millrace", millrace, many);
    rates.millrace.push(many / millrace.seconds);
  }
  const [theirs, ours] = [median(rates.storey), median(rates.millrace)];
  const figures = `Storey ${text(theirs)} events/s, Millrace ${text(ours)} events/s`;
  console.log(`${job.name.padEnd(6)} ${figures}: ${(ours / theirs).toFixed(0)} times (wanted: ${job.wanted})`);
}

function text(rate: number): string {
  return Math.round(rate).toLocaleString("en");
}
