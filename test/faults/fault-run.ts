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
/** As the load is by default: a record of one of 50 keys each four milliseconds of event time. */
const KEYS = 50;
const RECORDS_PER_RESULT = WINDOW / 4 / KEYS;
const PATIENCE = 120_000;
/** What may wait when a pipeline keeps up, in seconds of its input: those without checkpoints keep what their windows hold. */
const CLOSE = 5;

/** How long a broker may take to say what is done, in milliseconds. */
const ANSWER_WITHIN = 3000;
/** From one commit to the next and until it is written, in seconds. */
const FELT_WITHIN = 3;
const SLACK = 2;

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
  const made = await makeFaults(faults, schedule, rig, attempt);
  await attempt("the load", () => load.end());
  await attempt("after all was healed", () => untilDone(rig, options.patience ?? PATIENCE));
  const pids = descendants(rig.daemon.running.pid);
  await attempt("the last stop", () => rig.daemon.stop());
  await attempt("the last stop", () => until("no process is left", () => pids.every((pid) => !isAlive(pid))));
  await attempt("watching checkpoints", async () => void problems.push(...((await watch?.end()) ?? [])));
  let verdict: Verdict | undefined;
  await attempt("reading what there is", async () => {
    verdict = await judge(rig, options, { load, run, mostRepeats: mostRepeats(options, made.undone) });
  });
  const passed = verdict?.passed === true && problems.length === 0;
  return { passed, options, schedule, faults: made.faults, verdict, problems };
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

/** How often each kind of fault was made, and how many records were not done at each, at most. */
interface Made {
  readonly faults: Record<string, number>;
  readonly undone: readonly number[];
}

async function makeFaults(
  faults: readonly Fault[],
  schedule: readonly Planned[],
  { lag }: Rig,
  attempt: (what: string, work: () => Promise<unknown>) => Promise<void>,
): Promise<Made> {
  const made: Record<string, number> = {};
  const undone: number[] = [];
  for (const { fault: name, after, lasts, choice } of schedule) {
    const fault = faults.find((one) => one.name === name);
    if (fault === undefined) throw new Error(`there is no fault "${name}" here: ${faults.map((one) => one.name).join(", ")}`);
    await delay(after);
    const before = await lagSoon(lag);
    await attempt(name, () => fault.inject(choice));
    await delay(lasts);
    const during = await lagSoon(lag);
    await attempt(`healing "${name}"`, () => fault.heal());
    undone.push(Math.max(before, during, await lagSoon(lag)));
    made[name] = (made[name] ?? 0) + 1;
  }
  return { faults: made, undone };
}

/** How many records are not done; 0 when the broker is away and can't say. */
async function lagSoon(lag: Rig["lag"]): Promise<number> {
  return await Promise.race([lag(), delay(ANSWER_WITHIN, 0, { ref: false })]).catch(() => 0);
}

/**
 * How many records, or results of windows, may come again: what was not done when a fault came, and what was read until it was
 * felt. Twice that, as the number is not taken at the same moment.
 */
function mostRepeats({ pipeline, rate }: FaultRunOptions, undone: readonly number[]): number {
  const records = undone.reduce((sum, lag) => sum + SLACK * (lag + rate * FELT_WITHIN), 0);
  return pipeline === "relay" ? records : Math.ceil(records / RECORDS_PER_RESULT) + undone.length * KEYS;
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

interface Judged {
  readonly load: Generator;
  readonly run: string;
  readonly mostRepeats: number;
}

async function judge(rig: Rig, { source, pipeline }: FaultRunOptions, { load, run, mostRepeats }: Judged): Promise<Verdict> {
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
