/**
 * Kafka → change a field → Kafka, and Kafka → keyed count in windows of ten seconds → Kafka, of NEXMark's bids as JSON: through
 * `millrace run` with one and two workers, beside a loop written by hand on the same client and Kafka Streams with one and two
 * threads, in rounds that alternate. See bench/README.md for what is measured.
 */
import { parseArgs } from "node:util";

import { until } from "../test/support/until.ts";
import { median } from "./measure.ts";
import { BenchBroker, BROKER_VARIABLE } from "./support/broker.ts";
import { checkOutput } from "./support/check.ts";
import { cpuSecondsOf } from "./support/cpu.ts";
import { type Expected, fill } from "./support/input.ts";
import { handLoop, type Job, kafkaStreams, millrace, type RunningWorker, type Variant } from "./support/workers.ts";

const VARIANTS: Readonly<Record<string, Variant>> = {
  hand: handLoop,
  m1: millrace(1),
  m2: millrace(2),
  ks1: kafkaStreams(1),
  ks2: kafkaStreams(2),
  // What checkpoints cost: one a second, and one at the beginning and at the end only.
  c1: millrace(1, "1s"),
  n1: millrace(1, "1h"),
};

/** Those that are compared unless others are named. */
const STANDARD = ["hand", "m1", "m2", "ks1", "ks2"];

const HELP = `node bench/kafka.ts [options]
  --events N       bids in the input (1000000)
  --rounds N       rounds; figures are medians (2)
  --jobs LIST      of change,count (both)
  --variants LIST  of ${Object.keys(VARIANTS).join(",")} (${STANDARD.join(",")})
  --store STORE    where Kafka Streams keeps windows: rocksdb, its default, or memory
Starts a broker of its own, unless ${BROKER_VARIABLE} names one.`;

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "2" },
    jobs: { type: "string", default: "change,count" },
    variants: { type: "string", default: STANDARD.join(",") },
    store: { type: "string", default: "rocksdb" },
    help: { type: "boolean", default: false },
  },
});

const HEADER = `${"".padEnd(26)}${"events/s".padStart(10)}  CPU-s/million   2nd half: events/s  CPU-s/million`;

/** How long a start, and a run, may take. */
const PATIENCE = 120_000;
const LOOK_EVERY = 10;

/** What one run took, from the group's first assignment to the last output that can be read. */
interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** The same from when half of the output was there: compilers have done most of their work by then. */
  readonly later: { readonly seconds: number; readonly cpuSeconds: number };
  readonly repeats: number;
}

interface Input {
  readonly topic: string;
  readonly expected: Expected;
}

if (values.help) {
  console.log(HELP);
} else {
  await using broker = await BenchBroker.open();
  await main(broker);
}

async function main(broker: BenchBroker): Promise<void> {
  const topic = `bench-in-${process.pid}`;
  await broker.makeTopic(topic);
  const input = { topic, expected: await fill(broker.address, topic, Number(values.events)) };
  for (const job of values.jobs.split(",") as Job[]) await compare(broker, job, input);
}

async function compare(broker: BenchBroker, job: Job, input: Input): Promise<void> {
  const variants = Object.entries({
    ...VARIANTS,
    ks1: kafkaStreams(1, [`store=${values.store}`]),
    ks2: kafkaStreams(2, [`store=${values.store}`]),
  });
  const wanted = values.variants.split(",");
  const runs = new Map<string, Run[]>();
  console.log(`\n${job}: ${input.expected.events} events\n${HEADER}`);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [id, variant] of variants) {
      if (!wanted.includes(id)) continue;
      const run = await measure(broker, variant, job, input);
      runs.set(id, [...(runs.get(id) ?? []), run]);
      console.log(line(variant.name, run, input.expected.events));
    }
  }
  const medians = new Map([...runs].map(([id, all]) => [id, medianOf(all)]));
  console.log("medians:");
  for (const [id, run] of medians) console.log(line(VARIANTS[id]?.name ?? id, run, input.expected.events));
  printRatios(job, medians);
}

async function measure(broker: BenchBroker, variant: Variant, job: Job, { topic: input, expected }: Input): Promise<Run> {
  const output = `bench-out-${crypto.randomUUID()}`;
  const group = `bench-${crypto.randomUUID()}`;
  await broker.makeTopic(output);
  const results = job === "change" ? expected.events : expected.counts.size;
  let run: Omit<Run, "repeats">;
  {
    await using worker = await variant.start({ brokers: broker.address, job, group, input, output });
    try {
      run = await watch(broker, worker, group, output, results);
    } catch (error) {
      throw new Error(`${variant.name}: ${worker.trouble ?? worker.log()}`, { cause: error });
    }
  }
  const repeats = await checkOutput(broker.address, output, await broker.ends(output), job, expected);
  await broker.deleteTopic(output);
  return { ...run, repeats };
}

async function watch(broker: BenchBroker, worker: RunningWorker, group: string, output: string, results: number) {
  const options = { timeout: PATIENCE, every: LOOK_EVERY };
  const mark = () => ({ at: performance.now(), cpu: cpuSecondsOf(worker.pid) });
  const reached = (count: number) => async () => worker.trouble !== undefined || (await broker.count(output)) >= count;
  await until("the group has its partitions", async () => worker.trouble !== undefined || (await broker.isStable(group)), options);
  const start = mark();
  await until("half of the output is there", reached(results / 2), options);
  const middle = mark();
  await until("all of the output is there", reached(results), options);
  const end = mark();
  if (worker.trouble !== undefined) throw new Error("it ended too soon");
  const between = (from: typeof start, to: typeof end) => ({ seconds: (to.at - from.at) / 1000, cpuSeconds: to.cpu - from.cpu });
  return { ...between(start, end), later: between(middle, end) };
}

function medianOf(runs: readonly Run[]): Run {
  const of = (pick: (run: Run) => number) => median(runs.map(pick));
  return {
    seconds: of((run) => run.seconds),
    cpuSeconds: of((run) => run.cpuSeconds),
    later: { seconds: of((run) => run.later.seconds), cpuSeconds: of((run) => run.later.cpuSeconds) },
    repeats: Math.max(...runs.map((run) => run.repeats)),
  };
}

function line(name: string, { seconds, cpuSeconds, later, repeats }: Run, events: number): string {
  const rate = (count: number, time: number) => Math.round(count / time).toLocaleString("en");
  const cpu = (count: number, time: number) => ((time / count) * 1e6).toFixed(2);
  const whole = `${rate(events, seconds).padStart(10)}  ${cpu(events, cpuSeconds).padStart(13)}`;
  const half = `${rate(events / 2, later.seconds).padStart(19)}  ${cpu(events / 2, later.cpuSeconds).padStart(13)}`;
  return `${name.padEnd(26)}${whole}  ${half}${repeats === 0 ? "" : `   ${repeats} repeats`}`;
}

/** Over the whole run, and over its second half, which leaves out most of what compilers cost (Java's more than Node's). */
function printRatios(job: Job, runs: ReadonlyMap<string, Run>): void {
  const compared = (id: string, other: string, rate: number, cpu: number | undefined) => {
    const [ours, theirs] = [runs.get(id), runs.get(other)];
    if (ours === undefined || theirs === undefined) return;
    const both = (pick: (run: Run["later"]) => number, [above, below]: readonly [Run, Run]) =>
      [pick(above) / pick(below), pick(above.later) / pick(below.later)].map((ratio) => ratio.toFixed(2)).join(", 2nd half ");
    const rates = `rate ${both(({ seconds }) => seconds, [theirs, ours])} (wanted: at least ${rate})`;
    const wanted = cpu === undefined ? "" : ` (wanted: at most ${cpu})`;
    console.log(
      `${VARIANTS[id]?.name} / ${VARIANTS[other]?.name}: ${rates}; CPU ${both(({ cpuSeconds }) => cpuSeconds, [ours, theirs])}${wanted}`,
    );
  };
  compared("m1", "hand", 0.85, undefined);
  const [rate, cpu] = job === "change" ? [1, 0.7] : [1.6, 0.4];
  compared("m1", "ks1", rate, cpu);
  compared("m2", "ks2", rate, cpu);
  compared("c1", "n1", 0.9, undefined);
}
