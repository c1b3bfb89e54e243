import type { Logger } from "../contracts.ts";
import type { TaskChange, TaskDefinition } from "../tasks/task.ts";
import type { Assignment, FromWorker, RunEnd, RunId, RunStats } from "../worker/messages.ts";
import { backOff, type Random } from "./back-off.ts";
import type { FleetOptions, FleetSettings, Processes } from "./fleet.ts";
import { addTotals, define, type Instance, needsOperator, newTask, setState, type Task, type Worker } from "./model.ts";
import type { Suspects } from "./suspects.ts";

/** How often something that is not known to pass is tried again. */
const MOST_UNKNOWN = 5;

/** What workers say of a run. */
export type RunMessage = Exclude<FromWorker, { type: "ready" | "report" | "reloaded" }>;

/** The tasks there are, their instances, and the attempts to run these: how they are started, stopped, and end. */
export class Roster {
  readonly tasks = new Map<string, Task>();
  /** Nothing is started again. */
  draining = false;
  /** Instances whose worker died during the drain, so that they did not finish what they had read. */
  lost = 0;
  readonly #settings: FleetSettings;
  readonly #processes: Processes;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #random: Random;
  readonly #suspects: Suspects;
  #lastRun: RunId = 0;

  constructor(options: FleetOptions, suspects: Suspects) {
    this.#settings = options.settings;
    this.#processes = options.processes;
    this.#logger = options.logger;
    this.#now = options.now;
    this.#random = options.random;
    this.#suspects = suspects;
  }

  /** Takes over what is wanted. `advance` does it. */
  apply(change: TaskChange): void {
    for (const definition of [...change.added, ...change.changed]) this.#want(definition);
    for (const { id } of change.removed) {
      const task = this.tasks.get(id);
      if (task !== undefined) task.next = "removed";
    }
  }

  /** Gives tasks that failed, are paused or in quarantine another chance. */
  retry(): void {
    for (const task of this.tasks.values()) {
      const broken = task.instances.some(({ state }) => needsOperator(state));
      if (broken) task.next ??= task.definition;
    }
  }

  /** Whether a task runs, or is to run again. */
  wants(id: string): boolean {
    return this.tasks.get(id)?.instances.some(({ wanted }) => wanted) === true;
  }

  /** Stops every run, for good. */
  drain(): void {
    this.draining = true;
    for (const task of this.tasks.values()) {
      for (const instance of task.instances) instance.wanted = false;
      this.stopRuns(task.instances, "the program stops");
    }
  }

  /** Goes on with tasks that are to become something else. */
  advance(now: number): void {
    for (const task of this.tasks.values()) this.#advanceOne(task, now);
  }

  #want(definition: TaskDefinition): void {
    const task = this.tasks.get(definition.id);
    if (task === undefined) this.tasks.set(definition.id, newTask(definition, this.#now()));
    else task.next = definition;
  }

  /** Turns a task into what it is to become, once its runs have ended. */
  #advanceOne(task: Task, now: number): void {
    const { next } = task;
    if (next === undefined) return;
    this.stopRuns(task.instances, "its definition changes");
    if (task.instances.some(({ run }) => run !== undefined)) return;
    this.#suspects.forget(task.id);
    if (next === "removed") this.tasks.delete(task.id);
    else define(task, next, now);
    if (this.draining) for (const instance of task.instances) this.settle(instance, "the program stops");
  }

  /** Asks runs to stop in an orderly way. One that was not sent to its worker yet just ends. */
  stopRuns(instances: Iterable<Instance>, why: string): void {
    const runs = new Map<Worker, RunId[]>();
    for (const instance of instances) {
      const { run, worker } = instance;
      if (run === undefined || worker === undefined) {
        if (!instance.wanted) this.settle(instance, why);
        continue;
      }
      if (instance.stopBy !== undefined) continue;
      if (worker.phase === "pending" || worker.phase === "starting") {
        this.detach(instance, undefined);
        this.settle(instance, why);
        continue;
      }
      instance.stopBy = this.#now() + this.#settings.shutdown.timeout;
      instance.reason ??= why;
      runs.set(worker, [...(runs.get(worker) ?? []), run]);
    }
    for (const [worker, stopped] of runs) this.#processes.send(worker.id, { type: "stop", runs: stopped });
  }

  /** An instance is on no worker any more: it is to be placed again, or is over. */
  settle(instance: Instance, why: string | undefined): void {
    const now = this.#now();
    const { state } = instance;
    if (instance.wanted) {
      if (state === "running") setState(instance, "starting", why, now);
      instance.dueAt = Math.max(instance.dueAt, now);
    } else if (state !== "finished" && state !== "stopped" && !needsOperator(state)) {
      setState(instance, "stopped", why, now);
    }
  }

  /** Takes an instance off its worker and keeps what it counted: `stats`, or what was last reported. */
  detach(instance: Instance, stats: RunStats | undefined): void {
    if (instance.run !== undefined) instance.worker?.runs.delete(instance.run);
    addTotals(instance.past, stats ?? instance.stats);
    instance.stats = undefined;
    instance.run = undefined;
    instance.worker = undefined;
    instance.stopBy = undefined;
    instance.runningSince = undefined;
  }

  /** Starts instances on a worker that is ready. */
  send(worker: Worker, instances: readonly Instance[]): void {
    if (instances.length === 0) return;
    for (const instance of instances) instance.begunAt = this.#now();
    const assignments = instances.map(({ run, task, index }): Assignment => ({
      run: run as RunId,
      task: task.definition,
      instance: index,
    }));
    this.#processes.send(worker.id, { type: "start", assignments });
  }

  /** Takes in what a worker says of a run. */
  hear(instance: Instance, message: RunMessage): void {
    const now = this.#now();
    switch (message.type) {
      case "built":
        instance.finite = message.finite;
        instance.built = true;
        break;
      case "running":
        instance.runningSince = now;
        setState(instance, "running", instance.task.suspicion, now);
        break;
      case "waiting":
        this.#waiting(instance, message.reason, now);
        break;
      case "ended":
        this.#ended(instance, message.end, message.stats);
        break;
    }
  }

  #waiting(instance: Instance, reason: string | undefined, now: number): void {
    const opened = instance.runningSince !== undefined;
    if (reason === undefined) setState(instance, opened ? "running" : "starting", instance.task.suspicion, now);
    else setState(instance, opened ? "backing-off" : "starting", reason, now);
  }

  #ended(instance: Instance, end: RunEnd, stats: RunStats | undefined): void {
    const now = this.#now();
    const lived = instance.runningSince === undefined ? 0 : now - instance.runningSince;
    this.detach(instance, stats);
    if (end.how === "finished") this.#finished(instance, now);
    else if (end.how === "failed" && instance.wanted && instance.task.next === undefined) this.#failed(instance, end, lived, now);
    else this.settle(instance, instance.reason);
  }

  #finished(instance: Instance, now: number): void {
    instance.wanted = false;
    setState(instance, "finished", undefined, now);
    if (instance.task.instances.every(({ state }) => state === "finished")) this.#suspects.leave(instance.task.id);
  }

  #failed(instance: Instance, end: Extract<RunEnd, { how: "failed" }>, lived: number, now: number): void {
    const { task, reason: before } = instance;
    const ranWell = lived >= this.#settings.restart.resetAfter;
    instance.failures = ranWell ? 1 : instance.failures + 1;
    // It is running between two failures, if only until its first event.
    if (ranWell) instance.toldReason = undefined;
    if (end.kind === "paused") {
      this.#fail(instance, "paused", end.reason, now);
      return;
    }
    if (end.kind === "final" || (end.kind === "unknown" && instance.failures > MOST_UNKNOWN)) {
      this.#fail(instance, "failed", end.reason, now);
      return;
    }
    const wait = backOff(instance.failures, this.#settings.restart, this.#random);
    instance.dueAt = now + wait;
    if (end.kind !== "not-ready") instance.restarts++;
    setState(instance, end.kind === "not-ready" ? "starting" : "backing-off", end.reason, now);
    const told = before === end.reason || instance.toldReason === end.reason;
    instance.toldReason = end.reason;
    if (!told) this.#logger.warn({ task: task.id, instance: instance.index, retryInMs: Math.round(wait) }, end.reason);
  }

  /** The task fails or pauses, and is not tried again until its definition changes or a reload asks for it. */
  #fail(instance: Instance, state: "failed" | "paused", reason: string, now: number): void {
    const { task } = instance;
    this.#suspects.leave(task.id);
    for (const each of task.instances) each.wanted = false;
    setState(instance, state, reason, now);
    this.#logger.error(
      { task: task.id, instance: instance.index },
      state === "failed" ? `the task failed: ${reason}` : `the task is ${reason}`,
    );
    this.stopRuns(task.instances, `another instance of the task ${state === "failed" ? "failed" : "is paused"}`);
  }

  /** An instance whose worker is gone. */
  bereave(instance: Instance, what: string): void {
    if (this.draining) this.lost++;
    this.detach(instance, undefined);
    if (!instance.wanted) return this.settle(instance, what);
    instance.restarts++;
    const now = this.#now();
    if (instance.state !== "backing-off") setState(instance, "starting", instance.task.suspicion ?? `its worker died: ${what}`, now);
    this.settle(instance, undefined);
  }

  /** Gives an instance to a worker, as a new attempt. The caller sends it once the worker is ready. */
  assign(instance: Instance, worker: Worker, now: number): void {
    const run = ++this.#lastRun;
    instance.run = run;
    instance.worker = worker;
    instance.abandoned = false;
    instance.begunAt = undefined;
    instance.built = false;
    worker.runs.set(run, instance);
    if (instance.state !== "starting") setState(instance, "starting", instance.reason, now);
  }
}
