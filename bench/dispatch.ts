/**
 * The way to a thread or child process and back: 100-byte events, one thread or process, 64 calls under way at a time. Our dispatcher beside
 * tinypool 2 and piscina 5 on threads, and beside tinypool's child processes, in turns in the same run. Prints tasks/s of each, the median
 * of the rounds, and how many times the others' rate ours is (wanted: at least 4 times on threads, 3 times in processes).
 *
 *   node bench/dispatch.ts [seconds for each and round, default 2] [rounds, default 5]
 */
import "../src/hooks.ts";
import { Piscina } from "piscina";
import { Tinypool } from "tinypool";

import { systemClock } from "../src/clock.ts";
import { SILENT } from "../src/contracts.ts";
import { Dispatcher } from "../src/models/lanes/dispatcher.ts";
import { processProgram } from "../src/models/lanes/process-program.ts";
import type { LaneProgram } from "../src/models/lanes/program.ts";
import { ThreadPool } from "../src/models/lanes/thread-pool.ts";
import { threadProgram } from "../src/models/lanes/thread-program.ts";
import { median } from "./measure.ts";

const SECONDS = Number(process.argv[2] ?? 2);
const ROUNDS = Number(process.argv[3] ?? 5);
const IN_FLIGHT = 64;
const EVENT = "x".repeat(100);
const TASK = import.meta.resolve("./support/tasks/length.ts");

type Run = (event: string) => Promise<unknown>;

/** One that is measured. */
interface Contender {
  readonly name: string;
  readonly run: Run;
  readonly rates: number[];
}

await using resources = new AsyncDisposableStack();

async function ours(name: string, program: LaneProgram): Promise<Contender> {
  const dispatcher = resources.use(new Dispatcher({ program, lanes: 1, maxInFlight: IN_FLIGHT, clock: systemClock, logger: SILENT }));
  const hosted = await dispatcher.host({ kind: "each", url: TASK });
  const call = { signal: new AbortController().signal, until: Number.POSITIVE_INFINITY };
  return { name, run: (event) => hosted.run(event, call), rates: [] };
}

function tinypool(name: string, runtime: "worker_threads" | "child_process"): Contender {
  const pool = new Tinypool({ filename: TASK, runtime, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: IN_FLIGHT });
  resources.defer(() => pool.destroy());
  return { name, run: (event) => pool.run(event) as Promise<unknown>, rates: [] };
}

function piscina(): Contender {
  const pool = new Piscina({ filename: TASK, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: IN_FLIGHT });
  resources.defer(() => pool.destroy());
  return { name: "piscina 5", run: (event) => pool.run(event) as Promise<unknown>, rates: [] };
}

/** Keeps 64 tasks under way for a time. @returns tasks per second */
async function measure(run: Run, seconds: number): Promise<number> {
  const begin = performance.now();
  const end = begin + seconds * 1000;
  let done = 0;
  let now = begin;
  const worker = async () => {
    while (now < end) {
      const length = await run(EVENT);
      if (length !== EVENT.length) throw new Error(`the answer was ${String(length)}`);
      done += 1;
      if (done % IN_FLIGHT === 0) now = performance.now();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return done / ((performance.now() - begin) / 1000);
}

const threads = [
  await ours("dispatcher", threadProgram(resources.use(new ThreadPool(1)))),
  tinypool("tinypool 2", "worker_threads"),
  piscina(),
];
const processes = [await ours("dispatcher", processProgram()), tinypool("tinypool 2", "child_process")];

for (const [title, contenders, wanted] of [
  ["one thread", threads, 4],
  ["one child process", processes, 3],
] as const) {
  for (const { run } of contenders) await measure(run, SECONDS / 2);
  for (let round = 0; round < ROUNDS; round++) for (const { run, rates } of contenders) rates.push(await measure(run, SECONDS));
  console.log(`${title}, ${IN_FLIGHT} in flight, ${EVENT.length}-byte events`);
  const [own = 0] = contenders.map(({ rates }) => median(rates));
  for (const { name, rates } of contenders) {
    const rate = median(rates);
    const range = `${thousands(Math.min(...rates))}–${thousands(Math.max(...rates))}`;
    const ratio = rate === own ? "" : `   the dispatcher has ${(own / rate).toFixed(1)} times as many (wanted: ${wanted})`;
    console.log(`  ${name.padEnd(12)} ${thousands(rate).padStart(9)} tasks/s (${range})${ratio}`);
  }
}

function thousands(rate: number): string {
  return Math.round(rate).toLocaleString("en");
}
