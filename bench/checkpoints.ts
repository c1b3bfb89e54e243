/**
 * Checkpoints of a pipeline with a million open keyed aggregates: how long one takes, how long events wait meanwhile, and how long it takes to
 * restore them; on each store, beside the same run without checkpoints. See bench/README.md.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

import type { CheckpointStoreSettings } from "../src/checkpoint-settings.ts";
import { nats, redis } from "../test/support/services/index.ts";
import { scratchDir } from "../test/support/services/watchdog.ts";
import { median } from "./measure.ts";
import type { AggregatesRun, FillFigures, Latency, RestoreFigures } from "./support/aggregates.ts";

const STORES = ["file", "redis", "nats"] as const;
type StoreName = (typeof STORES)[number];

const HELP = `node bench/checkpoints.ts [options]
  --keys N       open aggregates (1000000)
  --rate N       events a second when they are open, and so aggregates that change between two checkpoints (10000)
  --seconds N    measured at that rate, after the first checkpoint (10)
  --rounds N     rounds; figures are medians (1)
  --stores LIST  of ${STORES.join(",")} (all)
Starts Redis and nats-server, unless MILLRACE_TEST_REDIS and MILLRACE_TEST_NATS name running ones.`;

const { values } = parseArgs({
  options: {
    keys: { type: "string", default: "1000000" },
    rate: { type: "string", default: "10000" },
    seconds: { type: "string", default: "10" },
    rounds: { type: "string", default: "1" },
    stores: { type: "string", default: STORES.join(",") },
    help: { type: "boolean", default: false },
  },
});

const child = join(import.meta.dirname, "support/aggregates.ts");
const run = promisify(execFile);

interface Figures {
  readonly fill: FillFigures;
  readonly restore: RestoreFigures | undefined;
}

if (values.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const wanted = values.stores.split(",") as StoreName[];
  const natsAddress = wanted.includes("nats") ? await nats() : "";
  const redisUrl = wanted.includes("redis") ? await redis() : "";
  const rounds = new Map<string, Figures[]>();
  const note = (name: string, figures: Figures) => {
    rounds.set(name, [...(rounds.get(name) ?? []), figures]);
    print(name, [figures]);
  };
  console.log(`${values.keys} open aggregates, ${values.rate} changed between two checkpoints of a second; milliseconds`);
  for (let round = 0; round < Number(values.rounds); round++) {
    note("none", { fill: await measured<FillFigures>("fill", undefined, natsAddress, round), restore: undefined });
    for (const name of wanted) {
      const store = placeOf(name, redisUrl);
      const fill = await measured<FillFigures>("fill", store, natsAddress, round);
      note(name, { fill, restore: await measured<RestoreFigures>("restore", store, natsAddress, round) });
    }
  }
  console.log("medians:");
  for (const [name, figures] of rounds) print(name, figures);
  const without = p99Of(rounds.get("none") ?? []);
  for (const name of wanted) {
    const added = p99Of(rounds.get(name) ?? []) - without;
    console.log(`${name}: checkpoints add ${added.toFixed(1)} to the p99 (wanted: at most 100)`);
  }
}

/** A place that nothing has used. */
function placeOf(name: StoreName, redisUrl: string): CheckpointStoreSettings {
  const unique = crypto.randomUUID();
  switch (name) {
    case "file":
      return { file: { path: join(scratchDir(), unique) } };
    case "redis":
      return { redis: { url: redisUrl } };
    case "nats":
      return { natsKv: { bucket: `bench-${unique}` } };
  }
}

async function measured<F>(
  mode: AggregatesRun["mode"],
  store: CheckpointStoreSettings | undefined,
  address: string,
  round: number,
): Promise<F> {
  const wanted: AggregatesRun = {
    mode,
    store,
    nats: address,
    task: `bench-${process.pid}-${round}`,
    keys: Number(values.keys),
    rate: Number(values.rate),
    seconds: Number(values.seconds),
  };
  const { stdout } = await run(process.execPath, [child, JSON.stringify(wanted)], { maxBuffer: 1 << 26 });
  return JSON.parse(stdout) as F;
}

function print(name: string, all: readonly Figures[]): void {
  const of = (pick: (figures: Figures) => number | undefined) => ms(median(all.map((figures) => pick(figures) ?? Number.NaN)));
  const latency = (pick: (figures: FillFigures) => Latency) =>
    `p50 ${of(({ fill }) => pick(fill).p50)}  p99 ${of(({ fill }) => pick(fill).p99)}  longest ${of(({ fill }) => pick(fill).max)}`;
  console.log(`${name.padEnd(6)} events at the rate:             ${latency(({ steady }) => steady)}  ${coresOf(all)} cores`);
  console.log(`       during the first checkpoint:    ${latency(({ first }) => first)}`);
  if (name === "none") return;
  const later = ({ fill }: Figures) => fill.saves.slice(1);
  const kib = (bytes: number | undefined) => `${((bytes ?? Number.NaN) / 1024).toFixed(0)} KiB`;
  const first = of(({ fill }) => fill.saves[0]?.milliseconds);
  const next = of((figures) => median(later(figures).map(({ milliseconds }) => milliseconds)));
  const written = median(all.map((figures) => median(later(figures).map(({ bytes }) => bytes))));
  console.log(`       barrier to saved, first:        ${first}   ${kib(all[0]?.fill.saves[0]?.bytes)}`);
  console.log(`       barrier to saved, those after:  ${next}   ${kib(written)} (wanted: at most 200)`);
  const restored = `${of(({ restore }) => restore?.milliseconds)}   CPU ${of(({ restore }) => restore?.cpuMilliseconds)}`;
  console.log(
    `       restored in:                    ${restored}   longest turn ${of(({ restore }) => restore?.longestTurn)} (wanted: at most 5000)`,
  );
}

function ms(value: number): string {
  return value.toFixed(1).padStart(8);
}

function coresOf(all: readonly Figures[]): string {
  return median(all.map(({ fill }) => fill.cores)).toFixed(2);
}

function p99Of(all: readonly Figures[]): number {
  return median(all.map(({ fill }) => fill.steady.p99));
}
