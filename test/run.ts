/**
 * Runs tests with the brokers and databases that they need: `node test/run.ts [files, globs or options of node --test …]`.
 * Without files: all. Files named `*.fault.test.ts` kill and freeze what they start and need the machine for themselves: they
 * come last, one at a time.
 *
 * The environment may name running services in MILLRACE_TEST_KAFKA, MILLRACE_TEST_NATS, MILLRACE_TEST_REDIS and
 * MILLRACE_TEST_POSTGRES.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { glob } from "node:fs/promises";
import { availableParallelism, constants } from "node:os";
import { fileURLToPath } from "node:url";

import { ProcessGroup } from "./support/process-group.ts";
import { SHARED_VARIABLES, sharedServices } from "./support/services/index.ts";
import type { Totals } from "./support/test-totals.ts";
import { addTotals, readTotals, totalsText } from "./support/test-totals.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const ALL = ["test/**/*.test.ts", "products/**/*.test.ts"];

const TEST_WITHIN_MS = 180_000;
const FAULT_TEST_WITHIN_MS = 600_000;

/** Node ends no file whose tests are done but which keeps something open. */
const ALL_WITHIN_MS = 55 * 60_000;

/** Characters: enough for the closing lines and the failed tests that follow them. */
const KEPT_OUTPUT = 1_000_000;

interface Phase {
  readonly files: readonly string[];
  readonly concurrency: number;
  readonly timeout: number;
}

interface Outcome {
  readonly code: number;
  readonly totals: Totals;
}

const interrupted = new AbortController();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    const code = 128 + constants.signals[signal];
    // The second time: at once. What was started is ended by its watchdog.
    if (interrupted.signal.aborted) process.exit(code);
    process.exitCode = code;
    interrupted.abort(signal);
  });
}

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const options = args.filter((arg) => arg.startsWith("-"));
  const patterns = args.filter((arg) => !arg.startsWith("-"));
  const files = await expand(patterns.length === 0 ? ALL : patterns);
  if (files.length === 0) {
    console.error(`no test file matches ${patterns.join(" ")}`);
    process.exitCode = 2;
    return;
  }
  await using services = await startServices();
  const env = { ...process.env };
  for (const [name, address] of services.addresses) env[SHARED_VARIABLES[name]] = address;
  const timer = setTimeout(() => {
    console.error(`\nThe tests were ended: they took more than ${ALL_WITHIN_MS / 60_000} minutes.`);
    process.exitCode = 1;
    interrupted.abort();
  }, ALL_WITHIN_MS);
  const outcomes: Outcome[] = [];
  for (const phase of phasesOf(files)) if (!interrupted.signal.aborted) outcomes.push(await runPhase(phase, options, env));
  clearTimeout(timer);
  if (interrupted.signal.aborted) return;
  if (outcomes.length > 1) console.log(`\nAll together:\n${totalsText(outcomes.map(({ totals }) => totals).reduce(addTotals))}`);
  process.exitCode = outcomes.find(({ code }) => code !== 0)?.code ?? 0;
}

async function startServices(): ReturnType<typeof sharedServices> {
  const begin = performance.now();
  const services = await sharedServices(["kafka", "nats", "redis", "postgres"]);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  for (const [name, origin] of services.origins) console.log(`${name}: ${origin}`);
  console.log(`services ready after ${seconds} s\n`);
  return services;
}

async function expand(patterns: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  // From where the command was given: npm runs it in the project.
  const exclude = (name: string): boolean => name === "node_modules" || name === ".cache";
  for (const pattern of patterns) for await (const file of glob(pattern, { exclude })) found.add(file);
  return [...found].sort();
}

function phasesOf(files: readonly string[]): Phase[] {
  const isFault = (file: string): boolean => file.endsWith(".fault.test.ts");
  const concurrency = Math.min(4, Math.max(2, availableParallelism()));
  const phases = [
    { files: files.filter((file) => !isFault(file)), concurrency, timeout: TEST_WITHIN_MS },
    { files: files.filter(isFault), concurrency: 1, timeout: FAULT_TEST_WITHIN_MS },
  ];
  return phases.filter((phase) => phase.files.length > 0);
}

async function runPhase(phase: Phase, options: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  const limits = [`--test-concurrency=${phase.concurrency}`, `--test-timeout=${phase.timeout}`, "--test-reporter=spec"];
  const args = ["--import", new URL("src/hooks.ts", `file://${ROOT}`).href, "--test", ...limits, ...options, ...phase.files];
  // Its output passes through here to be counted; a terminal's colours must not be lost by that. A process group of its own:
  // node's runner leaves the files that it runs alive when it is ended.
  const colour = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
  const child = spawn(process.execPath, args, { env: { ...env, ...colour }, stdio: ["ignore", "pipe", "inherit"], detached: true });
  const closed = once(child, "close");
  using group = new ProcessGroup(child.pid ?? 0);
  interrupted.signal.addEventListener("abort", () => group.kill());
  let tail = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    process.stdout.write(text);
    tail = (tail + text).slice(-KEPT_OUTPUT);
  });
  const [code] = (await once(child, "exit")) as [number | null];
  const rest = interrupted.signal.aborted ? [] : await group.endRest();
  await closed;
  if (rest.length > 0) console.error(`\nLeft behind by the tests, and ended:\n${rest.join("\n")}`);
  return { code: rest.length > 0 ? 1 : (code ?? 1), totals: readTotals(tail) };
}
