/** Latency of a program at a steady rate: from when a record is handed to the producer to when the broker appends what came of it. */
import { setTimeout as delay } from "node:timers/promises";

import { until } from "../../test/support/until.ts";
import { median } from "../measure.ts";
import type { BenchBroker } from "./broker.ts";
import { cpuSecondsOf } from "./cpu.ts";
import { type FetchedRecord, Fetching } from "./fetching.ts";
import { Generator, type MakeMessage } from "./generator.ts";
import { percentile } from "./percentile.ts";
import type { RunningWorker } from "./workers.ts";

/** What is sent, and how an output tells of what it was made. */
export interface Load {
  readonly message: MakeMessage;
  /** When the input of a record was sent, in milliseconds since the epoch; undefined if that was not to be measured. */
  sentAt(record: FetchedRecord): number | undefined;
}

export interface Pace {
  /** Events a second. */
  readonly rate: number;
  /** Milliseconds at the rate that are left out, and that are measured. */
  readonly warmup: number;
  readonly measured: number;
}

export interface Latency {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Cores that the worker kept busy. */
  readonly cores: number;
}

const PATIENCE = 60_000;

/** Makes two topics, has a program work between them, and measures it. */
export async function steadyLatency(
  broker: BenchBroker,
  start: (topics: { readonly input: string; readonly output: string; readonly group: string }) => Promise<RunningWorker>,
  load: Load,
  pace: Pace,
): Promise<Latency> {
  const id = crypto.randomUUID();
  const topics = { input: `bench-in-${id}`, output: `bench-out-${id}`, group: `bench-${id}` };
  await broker.makeTopic(topics.input);
  await broker.makeTopic(topics.output, { "message.timestamp.type": "LogAppendTime" });
  await using worker = await start(topics);
  try {
    const cores = await drive(broker, worker, topics, load, pace);
    const latencies = await latenciesOf(broker, topics.output, load);
    await broker.deleteTopic(topics.input);
    await broker.deleteTopic(topics.output);
    return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99), max: percentile(latencies, 1), cores };
  } catch (error) {
    throw new Error(worker.trouble ?? worker.log(), { cause: error });
  }
}

/** Sends at the rate until the end, and waits for all of the output. @returns the cores that the worker used while it was measured */
async function drive(
  broker: BenchBroker,
  worker: RunningWorker,
  { input, output, group }: { readonly input: string; readonly output: string; readonly group: string },
  { message }: Load,
  { rate, warmup, measured }: Pace,
): Promise<number> {
  const options = { timeout: PATIENCE, every: 100 };
  await until("the group has its partitions", async () => worker.trouble !== undefined || (await broker.isStable(group)), options);
  await delay(1500);
  const generator = new Generator(broker.address, input, rate, message);
  await using _closed = generator;
  await generator.run(warmup, "warm-up");
  const cpu = cpuSecondsOf(worker.pid);
  await generator.run(measured, "measured");
  const used = cpuSecondsOf(worker.pid) - cpu;
  await generator.confirmed();
  await until("all of the output is there", async () => (await broker.count(output)) >= generator.sent, options);
  return used / (measured / 1000);
}

/** Of what was sent while it was measured, in milliseconds, from the smallest to the largest. The broker's stamp is rounded down. */
async function latenciesOf(broker: BenchBroker, output: string, load: Load): Promise<number[]> {
  const ends = await broker.ends(output);
  const starts = new Map(ends.flatMap((end, partition) => (end > 0 ? [[partition, 0] as const] : [])));
  await using fetching = new Fetching(broker.address.split(","), output, starts);
  await fetching.open();
  const latencies: number[] = [];
  let left = ends.reduce((sum, end) => sum + end, 0);
  while (left > 0) {
    const records = await fetching.fetch();
    if (records.length === 0) throw new Error(`${left} records of ${output} can't be read`);
    for (const record of records) {
      const sent = load.sentAt(record);
      if (sent !== undefined) latencies.push(record.time - sent);
    }
    left -= records.length;
  }
  return latencies.toSorted((a, b) => a - b);
}

export function medianLatency(runs: readonly Latency[]): Latency {
  const of = (pick: (run: Latency) => number) => median(runs.map(pick));
  return { p50: of((run) => run.p50), p99: of((run) => run.p99), max: of((run) => run.max), cores: of((run) => run.cores) };
}

export function latencyLine(name: string, { p50, p99, max, cores }: Latency): string {
  const ms = (value: number) => `${value.toFixed(0).padStart(5)} ms`;
  return `${name.padEnd(26)} p50 ${ms(p50)}   p99 ${ms(p99)}   max ${ms(max)}   ${cores.toFixed(2)} cores`;
}
