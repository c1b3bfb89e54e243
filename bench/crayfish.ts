/**
 * The job of the Crayfish benchmark: pictures of 28 × 28 on Kafka → a small network in ONNX → scores on Kafka. Through `millrace run`, beside a
 * loop written by hand and Kafka Streams, in rounds that alternate: how fast a full topic is worked off, at what cost, and the latency at a steady
 * rate. See bench/README.md for what is measured.
 */
import { parseArgs } from "node:util";

import { BenchBroker, BROKER_VARIABLE } from "./support/broker.ts";
import { ScoreCheck } from "./support/check-scores.ts";
import { type Decoder, handScorer, millraceScorer, type Scorer, streamsScorer } from "./support/crayfish-workers.ts";
import { drain, DRAINED_HEADER, type Drained, drainedLine, drainedRatios, medianDrained, type Wanted } from "./support/drain.ts";
import { fillWithImages, type Image, type ImageFormat, images, valueOf } from "./support/images.ts";
import { type Latency, latencyLine, type Load, medianLatency, steadyLatency } from "./support/steady.ts";

const DECODERS: readonly Decoder[] = ["parse", "scan", "u8"];

const SCORERS: ReadonlyMap<string, Scorer> = new Map<string, Scorer>([
  ...DECODERS.flatMap((decoder): [string, Scorer][] => [
    [`hand-${decoder}`, handScorer(decoder)],
    [`m1-${decoder}`, millraceScorer(decoder, 1)],
    [`m2-${decoder}`, millraceScorer(decoder, 2)],
  ]),
  ...[1, 2].flatMap((threads): [string, Scorer][] => [
    [`ks${threads}-json`, streamsScorer("json", threads)],
    [`ks${threads}-fast`, streamsScorer("json", threads, ["parser=fast"])],
    [`ks${threads}-u8`, streamsScorer("u8", threads)],
  ]),
]);

const LATENCY_SCORERS: ReadonlyMap<string, Scorer> = new Map<string, Scorer>([
  ...DECODERS.flatMap((decoder): [string, Scorer][] => [
    [`hand-${decoder}`, handScorer(decoder)],
    [`m1-${decoder}`, millraceScorer(decoder, 1)],
  ]),
  ["ks1-json", streamsScorer("json", 1, ["linger=0"])],
  ["ks1-u8", streamsScorer("u8", 1, ["linger=0"])],
]);

/** What is wanted of one beside another, with the same number of workers and threads. */
const WANTED: readonly (readonly [ours: Decoder, theirs: string, wanted: Wanted])[] = [
  ["parse", "json", { rate: 1.3, cpu: 0.7 }],
  ["parse", "fast", { rate: 1.3, cpu: 0.7 }],
  ["scan", "json", { rate: 2.2, cpu: 0.45 }],
  ["scan", "fast", { rate: 2.2, cpu: 0.45 }],
  ["u8", "u8", { rate: 1.2, cpu: 0.85 }],
];
const OF_THE_LOOP: Wanted = { rate: 0.9 };

const HELP = `node bench/crayfish.ts [options]
  --parts LIST     of rate,latency (both)
  --json N         pictures as JSON, 3.5 kB each (80000)
  --u8 N           pictures as bytes, 784 each (200000)
  --rounds N       rounds; figures are medians (3)
  --rate N         events a second where latency is measured (2000)
  --seconds N      measured, after --warmup seconds at the rate (6, 4)
  --variants LIST  of ${[...SCORERS.keys()].join(",")} (all)
Starts a broker of its own, unless ${BROKER_VARIABLE} names one.`;

const { values } = parseArgs({
  options: {
    parts: { type: "string", default: "rate,latency" },
    json: { type: "string", default: "80000" },
    u8: { type: "string", default: "200000" },
    rounds: { type: "string", default: "3" },
    rate: { type: "string", default: "2000" },
    seconds: { type: "string", default: "6" },
    warmup: { type: "string", default: "4" },
    variants: { type: "string", default: [...SCORERS.keys()].join(",") },
    help: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const POOL = 2000;

if (values.help) {
  console.log(HELP);
} else {
  await using broker = await BenchBroker.open();
  const parts = values.parts.split(",");
  const pool = images(POOL);
  if (parts.includes("rate")) await compareRates(broker, pool);
  if (parts.includes("latency")) await compareLatencies(broker, pool);
}

function wanted(scorers: ReadonlyMap<string, Scorer>, format: ImageFormat): [string, Scorer][] {
  const ids = values.variants.split(",");
  return [...scorers].filter(([id, scorer]) => ids.includes(id) && scorer.format === format);
}

async function compareRates(broker: BenchBroker, pool: readonly Image[]): Promise<void> {
  const medians = new Map<string, Drained>();
  for (const format of ["json", "u8"] as const) {
    const scorers = wanted(SCORERS, format);
    if (scorers.length === 0) continue;
    const count = Number(values[format]);
    const input = `bench-in-${crypto.randomUUID()}`;
    await broker.makeTopic(input);
    const bytes = await fillWithImages(broker.address, input, count, format, pool);
    console.log(`\n${count} pictures as ${format}, ${Math.round(bytes)} bytes each\n${DRAINED_HEADER}`);
    const check = new ScoreCheck(pool, count);
    const runs = new Map<string, Drained[]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const [id, scorer] of scorers) {
        const run = await drainWith(broker, scorer, input, count, check);
        runs.set(id, [...(runs.get(id) ?? []), run]);
        console.log(drainedLine(scorer.name, run, count));
      }
    }
    await broker.deleteTopic(input);
    console.log("medians:");
    for (const [id, scorer] of scorers) {
      const median = medianDrained(runs.get(id) ?? []);
      medians.set(id, median);
      console.log(drainedLine(scorer.name, median, count));
    }
  }
  printRatios(medians);
}

async function drainWith(broker: BenchBroker, scorer: Scorer, input: string, count: number, check: ScoreCheck): Promise<Drained> {
  const output = `bench-out-${crypto.randomUUID()}`;
  const group = `bench-${crypto.randomUUID()}`;
  await broker.makeTopic(output);
  let run: Omit<Drained, "repeats">;
  {
    await using worker = await scorer.start({ brokers: broker.address, group, input, output });
    try {
      run = await drain(broker, worker, group, output, count);
    } catch (error) {
      throw new Error(`${scorer.name}: ${worker.trouble ?? worker.log()}`, { cause: error });
    }
  }
  const repeats = await check.check(broker.address, output, await broker.ends(output));
  await broker.deleteTopic(output);
  return { ...run, repeats };
}

function printRatios(medians: ReadonlyMap<string, Drained>): void {
  const compared = (id: string, other: string, wanted: Wanted) => {
    const [ours, theirs] = [medians.get(id), medians.get(other)];
    if (ours !== undefined && theirs !== undefined) console.log(`${id} / ${other}: ${drainedRatios(ours, theirs, wanted)}`);
  };
  console.log("");
  for (const decoder of DECODERS) compared(`m1-${decoder}`, `hand-${decoder}`, OF_THE_LOOP);
  for (const workers of [1, 2])
    for (const [ours, theirs, wanted] of WANTED) compared(`m${workers}-${ours}`, `ks${workers}-${theirs}`, wanted);
}

async function compareLatencies(broker: BenchBroker, pool: readonly Image[]): Promise<void> {
  const pace = { rate: Number(values.rate), warmup: Number(values.warmup) * 1000, measured: Number(values.seconds) * 1000 };
  const scorers = (["json", "u8"] as const).flatMap((format) => wanted(LATENCY_SCORERS, format));
  const runs = new Map<string, Latency[]>();
  console.log(`\nfrom sending to the broker's time of the score, at ${values.rate} events/s (wanted: p50 at most 2 ms, p99 at most 15 ms)`);
  const latencyWith = (scorer: Scorer): Promise<Latency> =>
    steadyLatency(broker, (topics) => scorer.start({ brokers: broker.address, ...topics }), imageLoad(scorer.format, pool), pace);
  // Not counted: a broker that has just begun is slow, and the first program would look it.
  const [first] = scorers;
  if (first !== undefined) await latencyWith(first[1]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [id, scorer] of scorers) {
      const run = await latencyWith(scorer);
      runs.set(id, [...(runs.get(id) ?? []), run]);
      console.log(latencyLine(scorer.name, run));
    }
  }
  console.log("medians:");
  for (const [id, scorer] of scorers) console.log(latencyLine(scorer.name, medianLatency(runs.get(id) ?? [])));
}

/** Pictures whose keys are their numbers. */
function imageLoad(format: ImageFormat, pool: readonly Image[]): Load {
  const values = pool.map((image, id) => valueOf(id, image, format));
  const sentAt: (number | undefined)[] = [];
  return {
    message: (number, phase) => {
      sentAt[number] = phase === "measured" ? Date.now() : undefined;
      return { key: String(number), value: values[number % values.length] as Uint8Array };
    },
    sentAt: ({ key }) => sentAt[Number(key?.toString())],
  };
}
