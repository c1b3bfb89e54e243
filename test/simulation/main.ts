/**
 * Simulates runs of the engine: `npm run simulate -- [--seed N] [--count M] [--jobs J] [--failures F] [--trace]`. Each seed is a pipeline, its input, and
 * what goes wrong around it; the same seed is the same run. Exits with 1 when a promise was broken, and says by which seeds.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { shrink } from "./shrink.ts";
import { simulate, type Verdict } from "./simulate.ts";

/** Fewer are not worth another process. */
const SEEDS_OF_A_JOB = 200;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "1" },
    jobs: { type: "string" },
    failures: { type: "string", default: "5" },
    trace: { type: "boolean", default: false },
  },
});
const seed = wholeNumber("seed", values.seed);
const count = wholeNumber("count", values.count);
// After so many failed seeds the rest says nothing new.
const mostFailures = wholeNumber("failures", values.failures);
const jobs = Math.min(wholeNumber("jobs", values.jobs ?? String(availableParallelism())), Math.ceil(count / SEEDS_OF_A_JOB));

// The engine's own look at the machine's time would make two runs of a seed differ.
performance.now = () => 0;
process.exitCode = await (jobs > 1 ? inJobs() : here());

function wholeNumber(option: string, given: string): number {
  const number = Number(given);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`--${option} must be a whole number above 0, got "${given}"`);
}

/** Shares the seeds out among processes. */
async function inJobs(): Promise<number> {
  const share = Math.ceil(count / jobs);
  const codes = Array.from({ length: jobs }, async (_, job) => {
    const first = seed + job * share;
    const args = [
      "--seed",
      String(first),
      "--count",
      String(Math.min(share, seed + count - first)),
      "--jobs",
      "1",
      "--failures",
      values.failures,
    ];
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], { stdio: ["ignore", "inherit", "inherit"] });
    const [code] = (await once(child, "exit")) as [number | null];
    return code ?? 1;
  });
  return Math.max(...(await Promise.all(codes)));
}

async function here(): Promise<number> {
  let failures = 0;
  let digest = 0;
  for (let next = seed; next < seed + count && failures < mostFailures; next++) {
    const verdict = await simulate(next, { tracing: values.trace });
    if (values.trace) console.log(verdict.trace.join("\n"));
    digest = (Math.imul(digest, 31) + verdict.digest) >>> 0;
    if (verdict.violations.length === 0) continue;
    failures += 1;
    await tell(next, verdict);
  }
  const seeds = count === 1 ? `seed ${seed}` : `seeds ${seed} to ${seed + count - 1}`;
  const digits = digest.toString(16).padStart(8, "0");
  console.log(failures === 0 ? `${seeds}: every promise was kept (digest ${digits})` : `${seeds}: ${failures} failed`);
  return failures === 0 ? 0 : 1;
}

async function tell(failed: number, verdict: Verdict): Promise<void> {
  const { less, verdict: smallest } = await shrink(failed, verdict);
  const { kind, members, shape, interval, batch, mood, troubles } = smallest.scenario;
  const lines = [
    `seed ${failed} breaks a promise; again: npm run simulate -- --seed ${failed} --trace`,
    ...verdict.violations.map(({ rule, what }) => `  ${rule}: ${what}`),
    `  ${JSON.stringify({ kind, members, mood, interval, batch, shape })}`,
    `  it takes no more than${less.events === undefined ? "" : ` the first ${less.events} events of each partition, and`} these troubles:`,
    ...troubles.map((trouble) => `    ${JSON.stringify(trouble)}`),
  ];
  console.log(lines.join("\n"));
}
