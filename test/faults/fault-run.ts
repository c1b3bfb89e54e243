/** A fault run from beginning to end: load, faults, healing, and the verdict. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

import { descendants, isAlive } from "../support/processes.ts";
import type { Owner } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";
import { check, type Verdict } from "./checker.ts";
import { type Fault, faultsOf } from "./faults.ts";
import { Generator } from "./generator.ts";
import type { FaultRunOptions } from "./options.ts";
import { readRecords, readWindow } from "./readers.ts";
import { readRecord } from "./record.ts";
import { type Rig, startRig } from "./rig.ts";
import { type Planned, planFaults } from "./schedule.ts";

/** What came of a run. */
export interface FaultRunReport {
  readonly passed: boolean;
  readonly options: FaultRunOptions;
  readonly schedule: readonly Planned[];
  /** How often each kind of fault was made. */
  readonly faults: Readonly<Record<string, number>>;
  readonly verdict: Verdict | undefined;
  /** What went wrong besides: lag that does not fall, a stop that fails, processes that are left. */
  readonly problems: readonly string[];
}

/** What a run left to look at. */
export interface Traces {
  readonly daemon: () => string;
  /** Log files of the services, by name. */
  readonly logs: ReadonlyMap<string, string>;
}

const WINDOW = 10_000;
const PATIENCE = 120_000;
/** What may wait when a pipeline keeps up, in seconds of its input: those without checkpoints keep what their windows hold. */
const CLOSE = 5;

/** A second supervisor can't have the same folder of checkpoints. */
const NOT_WITH_FILES: ReadonlySet<string> = new Set(["a second supervisor"]);

/**
 * Runs the faults that are planned for the options, or these.
 * @param look called with what there is to see, when all has started
 */
export async function runFaults(
  owner: Owner,
  options: FaultRunOptions,
  { plan, look }: { readonly plan?: readonly Planned[]; readonly look?: (traces: Traces) => void } = {},
): Promise<FaultRunReport> {
  const rig = await startRig(owner, options);
  look?.({ daemon: () => rig.daemon.output, logs: rig.logs });
  const faults = chosen(faultsOf(rig), options);
  const schedule = plan ?? planFaults(options.seed, options.length, faults);
  const run = randomUUID().slice(0, 8);
  const { seed, rate, disorder, late = 0 } = options;
  const poisoned = options.letters === undefined ? 0 : 0.001;
  const load = new Generator(rig.writer, { run, seed, rate, disorder, late, poisoned });
  const problems: string[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => void problems.push(`${what}: ${describe(error)}`));
  };
  await attempt("before the first fault", () => keepsUp(rig, rate));
  const watch = rig.watch?.();
  const made = await makeFaults(faults, schedule, attempt);
  await attempt("the load", () => load.end());
  await attempt("after all was healed", () => untilDone(rig, options.patience ?? PATIENCE));
  const pids = descendants(rig.daemon.running.pid);
  await attempt("the last stop", () => rig.daemon.stop());
  await attempt("the last stop", () => until("no process is left", () => pids.every((pid) => !isAlive(pid))));
  await attempt("watching checkpoints", async () => void problems.push(...((await watch?.end()) ?? [])));
  let verdict: Verdict | undefined;
  await attempt("reading what there is", async () => {
    verdict = await judge(rig, options, load, run);
  });
  const passed = verdict?.passed === true && problems.length === 0;
  return { passed, options, schedule, faults: made, verdict, problems };
}

function chosen(faults: readonly Fault[], { only, store = "file", pipeline }: FaultRunOptions): readonly Fault[] {
  return faults
    .filter(({ name }) => only === undefined || only.some((part) => name.includes(part)))
    .filter(({ name }) => store !== "file" || pipeline !== "window" || !NOT_WITH_FILES.has(name));
}

/**
 * Waits until the pipeline has done what came while it started, so that faults find it at work, and no more in flight than there
 * is at this rate.
 */
async function keepsUp({ daemon, lag }: Rig, rate: number): Promise<void> {
  const isClose = async (): Promise<boolean> => (await daemon.running.counted("in")) > 0 && (await lag()) < CLOSE * rate;
  await daemon.running.until("it keeps up with its input", isClose, PATIENCE, 300);
}

async function makeFaults(
  faults: readonly Fault[],
  schedule: readonly Planned[],
  attempt: (what: string, work: () => Promise<unknown>) => Promise<void>,
): Promise<Record<string, number>> {
  const made: Record<string, number> = {};
  for (const { fault: name, after, lasts, choice } of schedule) {
    const fault = faults.find((one) => one.name === name);
    if (fault === undefined) throw new Error(`there is no fault "${name}" here: ${faults.map((one) => one.name).join(", ")}`);
    await delay(after);
    await attempt(name, () => fault.inject(choice));
    await delay(lasts);
    await attempt(`healing "${name}"`, () => fault.heal());
    made[name] = (made[name] ?? 0) + 1;
  }
  return made;
}

/** Waits until nothing of the input is left to do, as its broker says. */
async function untilDone({ lag, daemon }: Rig, patience: number): Promise<void> {
  let last = "unknown";
  const isDone = async (): Promise<boolean> => {
    const left = await lag();
    last = String(left);
    return left === 0;
  };
  await daemon.running.until("all records are done", isDone, patience, 500).catch((error: unknown) => {
    throw new Error(`${last} records are not done after ${patience} ms`, { cause: error });
  });
}

async function judge(rig: Rig, { source, pipeline, mostRepeats }: FaultRunOptions, load: Generator, run: string): Promise<Verdict> {
  const input = (await rig.readInput()).flatMap((text) => readRecord(text, run) ?? []);
  const texts = await rig.readOutput();
  const letters = readRecords((await rig.readLetters?.()) ?? [], run);
  const late = readRecords((await rig.readLate?.()) ?? [], run);
  // Instances that share a consumer of JetStream keep no order.
  const order = source === "jetstream" && pipeline === "relay" ? "none" : "by key";
  const ledger = load.ledger.entries();
  if (pipeline === "relay") return check(ledger, { input, letters, delivered: readRecords(texts, run) }, { order, mostRepeats });
  return check(ledger, { input, letters, late, windows: texts.map(readWindow) }, { order, window: WINDOW, mostRepeats });
}

/** An error with its causes. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}
