/**
 * What the supervisor knows of tasks, their instances and workers, and how it is shown. Data and pure functions only.
 */
import type { Counters } from "../contracts.ts";
import { COUNTED, noCounts } from "../pipeline/counters.ts";
import type { InvalidTask, TaskDefinition } from "../tasks/task.ts";
import type { LastWords, LatencyStats, ModelReport, RunId, RunStats, WorkerId } from "../worker/messages.ts";
import type { Trial } from "./suspects.ts";

/** The state of one instance. `paused`: too many of its events failed; like `failed` it stays so until an operator does something. */
export type InstanceState = "starting" | "running" | "finished" | "stopped" | "backing-off" | "quarantined" | "failed" | "paused";

/** The state of a task: that of its instances together, or `invalid`. */
export type TaskState = InstanceState | "invalid";

/** One pipeline of a task. */
export interface Instance {
  readonly task: Task;
  /** From 0. */
  readonly index: number;
  state: InstanceState;
  reason: string | undefined;
  /** When the state began. */
  since: number;
  /** Whether it is to be run when it is not: false once it has finished, failed, or was stopped for good. */
  wanted: boolean;
  /** Not placed before this time. */
  dueAt: number;
  /** The attempt under way; undefined when it is on no worker. */
  run: RunId | undefined;
  worker: Worker | undefined;
  /** When a stop was asked for; the worker gets until then to obey, then the run is given up. */
  stopBy: number | undefined;
  abandoned: boolean;
  /** When this attempt was sent to its worker; undefined while that is not ready. */
  begunAt: number | undefined;
  /** Whether this attempt has built its plan. */
  built: boolean;
  /** When this attempt became `running`. */
  runningSince: number | undefined;
  /** Failures in a row. */
  failures: number;
  /** The reason of them that was last logged. */
  toldReason: string | undefined;
  restarts: number;
  /** Whether its input ends by itself; undefined until its plan was built once. */
  finite: boolean | undefined;
  /** Of the attempts before this one. */
  past: Totals;
  /** Of this attempt, as last reported. */
  stats: RunStats | undefined;
}

export interface Task {
  readonly id: string;
  definition: TaskDefinition;
  /** What it is to become once all its runs have ended: another definition, or nothing. */
  next: TaskDefinition | "removed" | undefined;
  instances: Instance[];
  /** What it is suspected of, while it is tried or in quarantine. */
  suspicion: string | undefined;
  /** Of instances that are no more. */
  past: Totals;
  /** Of instances that are no more. */
  restarts: number;
}

/** A worker process, from the decision to start it until it is gone. */
export interface Worker {
  readonly id: WorkerId;
  /** For people: 1 to `workers`, and above those for workers that tasks are tried in. */
  readonly number: number;
  /** The trial that it is for; undefined for a regular worker. */
  readonly trial: Trial | undefined;
  phase: "pending" | "starting" | "ready" | "leaving";
  /** When a pending one is to be started. */
  forkAt: number;
  /** When it was started. */
  startedAt: number;
  pid: number | undefined;
  heardAt: number;
  /** How long it had waited for a processor when it began to be silent. Milliseconds. */
  starvedBefore: number | undefined;
  inspected: boolean;
  rss: number;
  loopLag: number;
  readonly runs: Map<RunId, Instance>;
  /** By their ids, as last reported. */
  readonly models: Map<number, ModelReport>;
  words: LastWords | undefined;
  /** Why it is being ended, when it is being ended because something was wrong with it. */
  condemned: string | undefined;
  /** When a leaving one is killed. */
  killAt: number | undefined;
  /** Whether it was told to exit. */
  dismissed: boolean;
  killed: boolean;
}

/** Counts that never fall. */
export interface Totals extends Omit<Counters, "inFlight"> {
  latency: LatencyStats | undefined;
}

export function noTotals(): Totals {
  const { inFlight: _, ...counts } = noCounts();
  return { ...counts, latency: undefined };
}

/** Adds what one attempt counted. */
export function addTotals(totals: Totals, more: Totals | RunStats | undefined): Totals {
  if (more === undefined) return totals;
  for (const name of COUNTED) totals[name] += more[name];
  totals.latency = addLatency(totals.latency, more.latency);
  return totals;
}

/** All attempts of an instance together. */
export function instanceTotals(instance: Instance): Totals {
  return addTotals(addTotals(noTotals(), instance.past), instance.stats);
}

/** All that a task has counted since the supervisor started. */
export function taskTotals(task: Task): Totals {
  const totals = addTotals(noTotals(), task.past);
  for (const instance of task.instances) addTotals(totals, instanceTotals(instance));
  return totals;
}

function addLatency(a: LatencyStats | undefined, b: LatencyStats | undefined): LatencyStats | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return { counts: a.counts.map((count, bucket) => count + (b.counts[bucket] ?? 0)), sum: a.sum + b.sum };
}

/** Whether an instance stays as it is until an operator does something. */
export function needsOperator(state: InstanceState): boolean {
  return state === "failed" || state === "paused" || state === "quarantined";
}

/** Which of several instances' states stands for the task: the first of these that one of them has. */
const WORST_FIRST: readonly InstanceState[] = [
  "quarantined",
  "failed",
  "paused",
  "backing-off",
  "starting",
  "running",
  "stopped",
  "finished",
];

/** The instance that stands for the state of its task. */
export function telling(task: Task): Instance | undefined {
  for (const state of WORST_FIRST) {
    const found = task.instances.find((instance) => instance.state === state);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A task as `/api/tasks` and `list --json` show it. */
export interface TaskView {
  readonly id: string;
  readonly product: string | undefined;
  readonly state: TaskState;
  readonly reason?: string;
  /** What its pipeline remembers of earlier events; absent when it keeps no state. */
  readonly keeps?: StateView;
  readonly instances: readonly InstanceView[];
}

export interface StateView {
  /** The steps that keep state. */
  readonly steps: readonly string[];
  /** Whether that is saved in checkpoints, or positions are held back so that it can be made anew. */
  readonly by: "checkpoints" | "positions";
}

export interface InstanceView {
  /** The number of its worker; absent when it is on none. */
  readonly worker?: number;
  readonly pid?: number;
  readonly state: InstanceState;
  readonly reason?: string;
  /** ISO 8601. */
  readonly since: string;
  readonly in: number;
  readonly out: number;
  readonly filtered: number;
  readonly deduplicated: number;
  readonly late: number;
  readonly failed: number;
  readonly deadLettered: number;
  readonly skipped: number;
  readonly restarts: number;
}

/** @param mistake why the task runs as it was before, or why another of the same id does not run */
export function viewTask(task: Task, mistake: InvalidTask | undefined): TaskView {
  const shown = telling(task);
  const mistaken = mistake === undefined ? undefined : `${mistake.where} is passed over: ${mistake.reason}`;
  const reason = shown?.reason ?? mistaken;
  return {
    id: task.id,
    product: task.definition.product,
    state: shown?.state ?? "stopped",
    ...(reason === undefined ? {} : { reason }),
    ...viewState(task.definition),
    instances: task.instances.map(viewInstance),
  };
}

/** What a task keeps, as a part of its view. */
export function viewState({ statefulSteps, keepsCheckpoints }: TaskDefinition): Pick<TaskView, "keeps"> {
  return statefulSteps.length === 0 ? {} : { keeps: { steps: statefulSteps, by: keepsCheckpoints ? "checkpoints" : "positions" } };
}

/** A task that never runs because it is wrong. */
export function viewInvalid(task: InvalidTask): TaskView {
  return { id: task.id, product: task.product, state: "invalid", reason: `${task.where}: ${task.reason}`, instances: [] };
}

function viewInstance(instance: Instance): InstanceView {
  const { in: read, out, filtered, deduplicated, late, failed, deadLettered, skipped } = instanceTotals(instance);
  return {
    ...(instance.worker === undefined ? {} : { worker: instance.worker.number }),
    ...(instance.worker?.pid === undefined ? {} : { pid: instance.worker.pid }),
    state: instance.state,
    ...(instance.reason === undefined ? {} : { reason: instance.reason }),
    since: new Date(instance.since).toISOString(),
    in: read,
    out,
    filtered,
    deduplicated,
    late,
    failed,
    deadLettered,
    skipped,
    restarts: instance.restarts,
  };
}

export function newTask(definition: TaskDefinition, now: number): Task {
  const task: Task = { id: definition.id, definition, next: undefined, instances: [], suspicion: undefined, past: noTotals(), restarts: 0 };
  define(task, definition, now);
  return task;
}

/** Gives a task, none of whose runs goes on, another definition. What it has counted stays. */
export function define(task: Task, definition: TaskDefinition, now: number): void {
  for (const instance of task.instances) {
    addTotals(task.past, instanceTotals(instance));
    task.restarts += instance.restarts;
  }
  task.definition = definition;
  task.next = undefined;
  task.suspicion = undefined;
  task.instances = Array.from({ length: definition.instances }, (_, index) => newInstance(task, index, now));
}

function newInstance(task: Task, index: number, now: number): Instance {
  const { enabled } = task.definition;
  return {
    task,
    index,
    state: enabled ? "starting" : "stopped",
    reason: enabled ? undefined : "it is not enabled",
    since: now,
    wanted: enabled,
    dueAt: now,
    run: undefined,
    worker: undefined,
    stopBy: undefined,
    abandoned: false,
    begunAt: undefined,
    built: false,
    runningSince: undefined,
    failures: 0,
    toldReason: undefined,
    restarts: 0,
    finite: undefined,
    past: noTotals(),
    stats: undefined,
  };
}

/** Changes the state; `since` only when it is another one. */
export function setState(instance: Instance, state: InstanceState, reason: string | undefined, now: number): void {
  if (instance.state !== state) instance.since = now;
  instance.state = state;
  instance.reason = reason;
}
