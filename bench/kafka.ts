/**
 * Kafka → change a field → Kafka, and Kafka → keyed count in windows of ten seconds → Kafka, of NEXMark's bids as JSON: through
 * `millrace run` with one and two workers, beside a loop written by hand on the same client and Kafka Streams with one and two
 * threads, in rounds that alternate. See bench/README.md for what is measured.
 */
import { parseArgs } from "node:util";

import { BenchBroker, BROKER_VARIABLE } from "./support/broker.ts";
import { checkOutput } from "./support/check.ts";
import { drain, DRAINED_HEADER, drainedLine, drainedRatios, medianDrained } from "./support/drain.ts";
import type { Drained, Wanted } from "./support/drain.ts";
import { type Expected, fill } from "./support/input.ts";
import { handLoop, type Job, kafkaStreams, millrace, type Variant } from "./support/workers.ts";

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
  const runs = new Map<string, Drained[]>();
  console.log(`\n${job}: ${input.expected.events} events\n${DRAINED_HEADER}`);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [id, variant] of variants) {
      if (!wanted.includes(id)) continue;
      const run = await measure(broker, variant, job, input);
      runs.set(id, [...(runs.get(id) ?? []), run]);
      console.log(drainedLine(variant.name, run, input.expected.events));
    }
  }
  const medians = new Map([...runs].map(([id, all]) => [id, medianDrained(all)]));
  console.log("medians:");
  for (const [id, run] of medians) console.log(drainedLine(VARIANTS[id]?.name ?? id, run, input.expected.events));
  printRatios(job, medians);
}

async function measure(broker: BenchBroker, variant: Variant, job: Job, { topic: input, expected }: Input): Promise<Drained> {
  const output = `bench-out-${crypto.randomUUID()}`;
  const group = `bench-${crypto.randomUUID()}`;
  await broker.makeTopic(output);
  const results = job === "change" ? expected.events : expected.counts.size;
  let run: Omit<Drained, "repeats">;
  {
    await using worker = await variant.start({ brokers: broker.address, job, group, input, output });
    try {
      run = await drain(broker, worker, group, output, results);
    } catch (error) {
      throw new Error(`${variant.name}: ${worker.trouble ?? worker.log()}`, { cause: error });
    }
  }
  const repeats = await checkOutput(broker.address, output, await broker.ends(output), job, expected);
  await broker.deleteTopic(output);
  return { ...run, repeats };
}

function printRatios(job: Job, runs: ReadonlyMap<string, Drained>): void {
  const compared = (id: string, other: string, wanted: Wanted) => {
    const [ours, theirs] = [runs.get(id), runs.get(other)];
    if (ours === undefined || theirs === undefined) return;
    console.log(`${VARIANTS[id]?.name} / ${VARIANTS[other]?.name}: ${drainedRatios(ours, theirs, wanted)}`);
  };
  compared("m1", "hand", { rate: 0.85 });
  const wanted = job === "change" ? { rate: 1, cpu: 0.7 } : { rate: 1.6, cpu: 0.4 };
  compared("m1", "ks1", wanted);
  compared("m2", "ks2", wanted);
  compared("c1", "n1", { rate: 0.9 });
}
