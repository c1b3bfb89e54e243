/**
 * Latency of Kafka → change a field → Kafka at a steady rate: from when a record is handed to the producer of an open-loop
 * generator to when the broker appends what came of it (LogAppendTime of the output). Through `millrace run` with one worker,
 * beside a loop written by hand on the same client and Kafka Streams, in rounds that alternate. See bench/README.md.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

import { until } from "../test/support/until.ts";
import { median } from "./measure.ts";
import { BenchBroker, BROKER_VARIABLE } from "./support/broker.ts";
import { cpuSecondsOf } from "./support/cpu.ts";
import { Fetching } from "./support/fetching.ts";
import { Generator } from "./support/generator.ts";
import { type Bid, bids } from "./support/nexmark.ts";
import { handLoop, kafkaStreams, millrace, type RunningWorker, type Variant } from "./support/workers.ts";

const VARIANTS: Readonly<Record<string, Variant>> = {
  hand: handLoop,
  m1: millrace(1),
  ks: { ...kafkaStreams(1, ["linger=0"]), name: "Kafka Streams, linger 0" },
  ksd: { ...kafkaStreams(1), name: "Kafka Streams, defaults" },
};

const HELP = `node bench/latency.ts [options]
  --rate N         events a second (5000)
  --seconds N      measured, after --warmup (8)
  --warmup N       seconds at the rate that are left out (4)
  --rounds N       rounds; figures are medians (2)
  --variants LIST  of ${Object.keys(VARIANTS).join(",")} (all)
Starts a broker of its own, unless ${BROKER_VARIABLE} names one.`;

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "5000" },
    seconds: { type: "string", default: "8" },
    warmup: { type: "string", default: "4" },
    rounds: { type: "string", default: "2" },
    variants: { type: "string", default: Object.keys(VARIANTS).join(",") },
    help: { type: "boolean", default: false },
  },
});
const RATE = Number(values.rate);
/** Milliseconds. */
const WARMUP = Number(values.warmup) * 1000;
const MEASURED = Number(values.seconds) * 1000;
const PATIENCE = 60_000;

interface Run {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Cores that the worker kept busy. */
  readonly cores: number;
}

if (values.help) {
  console.log(HELP);
} else {
  await using broker = await BenchBroker.open();
  await main(broker);
}

async function main(broker: BenchBroker): Promise<void> {
  const runs = new Map<string, Run[]>();
  const wanted = values.variants.split(",");
  const pool = [...bids(10_000)];
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [id, variant] of Object.entries(VARIANTS)) {
      if (!wanted.includes(id)) continue;
      const run = await measure(broker, variant, pool);
      runs.set(id, [...(runs.get(id) ?? []), run]);
      console.log(line(variant.name, run));
    }
  }
  console.log("medians:");
  const medians = new Map([...runs].map(([id, all]) => [id, medianOf(all)]));
  for (const [id, run] of medians) console.log(line(VARIANTS[id]?.name ?? id, run));
  const [ours, loop] = [medians.get("m1"), medians.get("hand")];
  if (ours !== undefined && loop !== undefined) {
    console.log(`p99 of Millrace / by hand: ${(ours.p99 / loop.p99).toFixed(2)} (wanted: at most 1.5)`);
  }
}

async function measure(broker: BenchBroker, variant: Variant, pool: readonly Bid[]): Promise<Run> {
  const id = crypto.randomUUID();
  const [input, output, group] = [`bench-in-${id}`, `bench-out-${id}`, `bench-${id}`];
  await broker.makeTopic(input);
  await broker.makeTopic(output, { "message.timestamp.type": "LogAppendTime" });
  await using worker = await variant.start({ brokers: broker.address, job: "change", group, input, output });
  try {
    const cores = await drive(broker, worker, { input, output, group, pool });
    const latencies = await latenciesOf(broker, output);
    await broker.deleteTopic(input);
    await broker.deleteTopic(output);
    const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN;
    return { p50: at(0.5), p99: at(0.99), max: at(1), cores };
  } catch (error) {
    throw new Error(`${variant.name}: ${worker.trouble ?? worker.log()}`, { cause: error });
  }
}

interface Drive {
  readonly input: string;
  readonly output: string;
  readonly group: string;
  readonly pool: readonly Bid[];
}

/** Sends at the rate until the end, and waits for all of the output. @returns the cores that the worker used while it was measured */
async function drive(broker: BenchBroker, worker: RunningWorker, { input, output, group, pool }: Drive): Promise<number> {
  const options = { timeout: PATIENCE, every: 100 };
  await until("the group has its partitions", async () => worker.trouble !== undefined || (await broker.isStable(group)), options);
  await delay(1500);
  const generator = new Generator(broker.address, input, RATE, pool);
  await using _closed = generator;
  await generator.run(WARMUP, "warm-up");
  const cpu = cpuSecondsOf(worker.pid);
  await generator.run(MEASURED, "measured");
  const used = cpuSecondsOf(worker.pid) - cpu;
  await generator.confirmed();
  await until("all of the output is there", async () => (await broker.count(output)) >= generator.sent, options);
  return used / (MEASURED / 1000);
}

/** Of what was sent while it was measured, in milliseconds, from the smallest to the largest. The broker's stamp is rounded down. */
async function latenciesOf(broker: BenchBroker, output: string): Promise<number[]> {
  const ends = await broker.ends(output);
  const starts = new Map(ends.flatMap((end, partition) => (end > 0 ? [[partition, 0] as const] : [])));
  await using fetching = new Fetching(broker.address.split(","), output, starts);
  await fetching.open();
  const latencies: number[] = [];
  let left = ends.reduce((sum, end) => sum + end, 0);
  while (left > 0) {
    const records = await fetching.fetch();
    if (records.length === 0) throw new Error(`${left} records of ${output} can't be read`);
    for (const { time, value } of records) {
      const [phase, sentAt] = (JSON.parse(value.toString()) as Bid).extra.split(" ");
      if (phase === "measured") latencies.push(time - Number(sentAt));
    }
    left -= records.length;
  }
  return latencies.toSorted((a, b) => a - b);
}

function medianOf(runs: readonly Run[]): Run {
  const of = (pick: (run: Run) => number) => median(runs.map(pick));
  return { p50: of((run) => run.p50), p99: of((run) => run.p99), max: of((run) => run.max), cores: of((run) => run.cores) };
}

function line(name: string, { p50, p99, max, cores }: Run): string {
  const ms = (value: number) => `${value.toFixed(0).padStart(5)} ms`;
  return `${name.padEnd(26)} p50 ${ms(p50)}   p99 ${ms(p99)}   max ${ms(max)}   ${cores.toFixed(2)} cores`;
}
