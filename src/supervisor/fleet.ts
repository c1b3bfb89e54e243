import type { Settings } from "../config/settings.ts";
import type { Logger } from "../contracts.ts";
import type { InvalidTask, TaskChange, TaskDefinition } from "../tasks/task.ts";
import type { Assignment, FromWorker, LastWords, RunEnd, RunId, RunStats, ToWorker, WorkerId, WorkerReport } from "../worker/messages.ts";
import { backOff, type Random } from "./back-off.ts";
import { Crew } from "./crew.ts";
import { blamedRun, type Cause, causeOf, type Exit, hangs, mebibytes } from "./deaths.ts";
import {
  addTotals,
  define,
  type Instance,
  newTask,
  setState,
  type Task,
  type TaskView,
  viewInvalid,
  viewTask,
  type Worker,
} from "./model.ts";
import { Suspects, type Trial, type Verdict } from "./suspects.ts";

/** The processes that a fleet decides about. */
export interface Processes {
  /** Starts a worker process. It is told `begin`, and answers `ready`. Returns its process id, if it could be started. */
  fork(worker: Pick<Worker, "id" | "number">): number | undefined;
  send(worker: WorkerId, message: ToWorker): void;
  /** Ends it at once. */
  kill(worker: WorkerId): void;
  /** How long a worker's main thread has waited for a processor since it was started, in milliseconds; undefined if unknown. */
  starved(worker: WorkerId): number | undefined;
}

export type FleetSettings = Pick<Settings, "workers" | "worker" | "restart" | "quarantine" | "shutdown">;

export interface FleetOptions {
  readonly settings: FleetSettings;
  readonly processes: Processes;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: Random;
}

/** How often `tick` is to be called. Milliseconds. */
export const TICK = 250;

/** How often something that is not known to pass is tried again. */
const MOST_UNKNOWN = 5;
/** How long a worker that is told to exit, or an instance that is told to give up, may take. Milliseconds. */
const GRACE = 5000;

/**
 * Keeps what runs equal to what is wanted: which tasks there are, on which workers their instances run, and what follows
 * when one of these fails. It does no input or output and reads no clock but the one that it is given, so the same calls
 * give the same decisions. The owner calls `tick` every TICK milliseconds and tells it what happens.
 */
export class Fleet {
  readonly #settings: FleetSettings;
  readonly #processes: Processes;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #random: Random;
  readonly #tasks = new Map<string, Task>();
  readonly #crew: Crew;
  readonly #suspects: Suspects;
  #invalid: readonly InvalidTask[] = [];
  #lastRun: RunId = 0;
  #lastTick: number | undefined;
  #draining = false;
  #lost = 0;
  #workerRestarts = 0;

  constructor(options: FleetOptions) {
    this.#settings = options.settings;
    this.#processes = options.processes;
    this.#logger = options.logger;
    this.#now = options.now;
    this.#random = options.random;
    this.#crew = new Crew(options.settings, options.random, options.now());
    this.#suspects = new Suspects(options.settings.quarantine, options.settings.restart.resetAfter);
  }

  /** All tasks that can run, or did before they were removed and still end. */
  get tasks(): Iterable<Task> {
    return this.#tasks.values();
  }

  get workers(): Iterable<Worker> {
    return this.#crew.all();
  }

  /** Whether everything has stopped after `drain`. */
  get drained(): boolean {
    return this.#draining && [...this.#crew.all()].length === 0;
  }

  /** Instances whose worker died during the drain, so that they did not finish what they had read. */
  get lost(): number {
    return this.#lost;
  }

  /** Regular workers that there are to be. */
  get size(): number {
    return this.#settings.workers;
  }

  /** Workers that died or were replaced because something was wrong with them. */
  get workerRestarts(): number {
    return this.#workerRestarts;
  }

  /** Everything as `/api/tasks` shows it. */
  views(): readonly TaskView[] {
    const invalid = this.#invalid.filter((task) => !task.replaced).map(viewInvalid);
    return [...[...this.#tasks.values()].map(viewTask), ...invalid];
  }

  /** Starts, restarts and stops exactly the tasks of a change. */
  apply(change: TaskChange): void {
    this.#invalid = change.set.invalid;
    for (const definition of [...change.added, ...change.changed]) this.#want(definition);
    for (const { id } of change.removed) {
      const task = this.#tasks.get(id);
      if (task !== undefined) task.next = "removed";
    }
    this.tick();
  }

  /** Gives tasks that failed or are in quarantine another chance. */
  retry(): void {
    for (const task of this.#tasks.values()) {
      const broken = task.instances.some(({ state }) => state === "failed" || state === "quarantined");
      if (broken) task.next ??= task.definition;
    }
    this.tick();
  }

  /** Stops everything: each instance finishes what it has read, then the workers end. */
  drain(): void {
    this.#draining = true;
    for (const task of this.#tasks.values()) {
      for (const instance of task.instances) instance.wanted = false;
      this.#stopRuns(task.instances, "the program stops");
    }
    this.tick();
  }

  message(id: WorkerId, message: FromWorker): void {
    const worker = this.#crew.get(id);
    if (worker === undefined) return;
    worker.heardAt = this.#now();
    worker.starvedBefore = undefined;
    if (message.type === "ready") this.#ready(worker);
    else if (message.type === "report") this.#report(worker, message);
    else {
      const instance = worker.runs.get(message.run);
      if (instance !== undefined) this.#hear(instance, message);
    }
  }

  words(id: WorkerId, words: LastWords): void {
    const worker = this.#crew.get(id);
    if (worker === undefined) return;
    worker.words = words;
    if (words.why === "memory" && worker.phase === "ready") this.#condemn(worker, this.#tooLarge(worker, words.what), "kill");
  }

  gone(id: WorkerId, exit: Exit): void {
    const worker = this.#crew.get(id);
    if (worker === undefined) return;
    let what = worker.condemned;
    if (what === undefined && worker.phase !== "leaving") {
      const cause = causeOf(worker, exit, this.#settings.worker.rssLimit);
      what = cause.what;
      this.#died(worker, cause);
    }
    this.#crew.remove(worker);
    for (const instance of worker.runs.values()) this.#bereave(instance, what ?? "it was told to exit");
    this.tick();
  }

  /** Does what is due. */
  tick(): void {
    const now = this.#now();
    this.#forgiveOwnLateness(now);
    for (const task of this.#tasks.values()) this.#advance(task, now);
    if (!this.#draining) this.#judge(now);
    for (const worker of this.#crew.all()) this.#tend(worker, now);
    if (!this.#draining) this.#place(now);
    this.#enforceStops(now);
  }

  // Tasks

  #want(definition: TaskDefinition): void {
    const task = this.#tasks.get(definition.id);
    if (task === undefined) this.#tasks.set(definition.id, newTask(definition, this.#now()));
    else task.next = definition;
  }

  /** Turns a task into what it is to become, once its runs have ended. */
  #advance(task: Task, now: number): void {
    const { next } = task;
    if (next === undefined) return;
    this.#stopRuns(task.instances, "its definition changes");
    if (task.instances.some(({ run }) => run !== undefined)) return;
    this.#suspects.forget(task.id);
    if (next === "removed") this.#tasks.delete(task.id);
    else define(task, next, now);
    if (this.#draining) for (const instance of task.instances) this.#settle(instance, "the program stops");
  }

  /** Asks runs to stop in an orderly way. One that was not sent to its worker yet just ends. */
  #stopRuns(instances: Iterable<Instance>, why: string): void {
    const runs = new Map<Worker, RunId[]>();
    for (const instance of instances) {
      const { run, worker } = instance;
      if (run === undefined || worker === undefined) {
        if (!instance.wanted) this.#settle(instance, why);
        continue;
      }
      if (instance.stopBy !== undefined) continue;
      if (worker.phase === "pending" || worker.phase === "starting") {
        this.#detach(instance, undefined);
        this.#settle(instance, why);
        continue;
      }
      instance.stopBy = this.#now() + this.#settings.shutdown.timeout;
      instance.reason ??= why;
      runs.set(worker, [...(runs.get(worker) ?? []), run]);
    }
    for (const [worker, stopped] of runs) this.#processes.send(worker.id, { type: "stop", runs: stopped });
  }

  /** An instance is on no worker any more: it is to be placed again, or is over. */
  #settle(instance: Instance, why: string | undefined): void {
    const now = this.#now();
    const { state } = instance;
    if (instance.wanted) {
      if (state === "running") setState(instance, "starting", why, now);
      instance.dueAt = Math.max(instance.dueAt, now);
    } else if (state !== "finished" && state !== "failed" && state !== "quarantined" && state !== "stopped") {
      setState(instance, "stopped", why, now);
    }
  }

  #detach(instance: Instance, stats: RunStats | undefined): void {
    if (instance.run !== undefined) instance.worker?.runs.delete(instance.run);
    addTotals(instance.past, stats ?? instance.stats);
    instance.stats = undefined;
    instance.run = undefined;
    instance.worker = undefined;
    instance.stopBy = undefined;
    instance.runningSince = undefined;
  }

  // What workers say

  #ready(worker: Worker): void {
    if (worker.phase !== "starting") return;
    worker.phase = "ready";
    this.#send(worker, [...worker.runs.values()]);
  }

  #send(worker: Worker, instances: readonly Instance[]): void {
    if (instances.length === 0) return;
    const assignments = instances.map(({ run, task, index }): Assignment => ({
      run: run as RunId,
      task: task.definition,
      instance: index,
    }));
    this.#processes.send(worker.id, { type: "start", assignments });
  }

  #report(worker: Worker, report: WorkerReport): void {
    worker.rss = report.rss;
    worker.loopLag = report.loopLag;
    worker.inspected = report.inspected;
    // The event loop turns again.
    worker.words = undefined;
    for (const [run, stats] of report.stats) {
      const instance = worker.runs.get(run);
      if (instance !== undefined) instance.stats = stats;
    }
    const { rssLimit } = this.#settings.worker;
    if (rssLimit === undefined || report.rss <= rssLimit) return;
    if (worker.phase === "ready") this.#condemn(worker, this.#tooLarge(worker), "drain");
    else if (report.rss > 1.5 * rssLimit) worker.killAt = 0;
  }

  #tooLarge(worker: Worker, detail = ""): string {
    const limit = mebibytes(this.#settings.worker.rssLimit ?? 0);
    const more = detail === "" ? ` (${mebibytes(worker.rss)})` : `, and ${detail}`;
    return `memory: the worker holds more than the limit of ${limit}${more}`;
  }

  #hear(instance: Instance, message: Exclude<FromWorker, { type: "ready" | "report" }>): void {
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
    this.#detach(instance, stats);
    if (end.how === "finished") this.#finished(instance, now);
    else if (end.how === "failed" && instance.wanted && instance.task.next === undefined) this.#failed(instance, end, lived, now);
    else this.#settle(instance, instance.reason);
    this.tick();
  }

  #finished(instance: Instance, now: number): void {
    instance.wanted = false;
    setState(instance, "finished", undefined, now);
    if (instance.task.instances.every(({ state }) => state === "finished")) this.#suspects.leave(instance.task.id);
  }

  #failed(instance: Instance, end: Extract<RunEnd, { how: "failed" }>, lived: number, now: number): void {
    const { task, reason: before } = instance;
    instance.failures = lived >= this.#settings.restart.resetAfter ? 1 : instance.failures + 1;
    if (end.kind === "final" || (end.kind === "unknown" && instance.failures > MOST_UNKNOWN)) {
      this.#fail(instance, end.reason, now);
      return;
    }
    const wait = backOff(instance.failures, this.#settings.restart, this.#random);
    instance.dueAt = now + wait;
    if (end.kind !== "not-ready") instance.restarts++;
    setState(instance, end.kind === "not-ready" ? "starting" : "backing-off", end.reason, now);
    if (before !== end.reason) this.#logger.warn({ task: task.id, instance: instance.index, retryInMs: Math.round(wait) }, end.reason);
  }

  /** The task fails, and is not tried again until its definition changes or a reload asks for it. */
  #fail(instance: Instance, reason: string, now: number): void {
    const { task } = instance;
    this.#suspects.leave(task.id);
    for (const each of task.instances) each.wanted = false;
    setState(instance, "failed", reason, now);
    this.#logger.error({ task: task.id, instance: instance.index }, `the task failed: ${reason}`);
    this.#stopRuns(task.instances, "another instance of the task failed");
  }

  // Workers

  /** When this process itself did not run, it could not hear its workers. */
  #forgiveOwnLateness(now: number): void {
    const late = now - (this.#lastTick ?? now) - 4 * TICK;
    this.#lastTick = now;
    if (late > 0) for (const worker of this.#crew.all()) worker.heardAt += late;
  }

  #tend(worker: Worker, now: number): void {
    if (worker.phase === "pending") this.#start(worker, now);
    else if (worker.phase === "leaving") this.#seeOut(worker, now);
    else if (this.#draining && worker.runs.size === 0) this.#leave(worker, now);
    else if (worker.trial !== undefined && worker.runs.size === 0 && !this.#tries(worker)) this.#leave(worker, now);
    else if (worker.phase === "starting") {
      const { startTimeout } = this.#settings.worker;
      if (this.#silent(worker, now, startTimeout)) this.#condemn(worker, `it was not ready after ${startTimeout / 1000} s`, "kill");
    } else if (!worker.inspected && this.#silent(worker, now, this.#settings.worker.heartbeat)) {
      const detail = worker.words?.what ?? "the event loop hangs";
      this.#condemn(worker, `hang: no sign of life for ${this.#settings.worker.heartbeat / 1000} s, ${detail}`, "kill");
    }
  }

  #start(worker: Worker, now: number): void {
    if (this.#draining || (worker.trial !== undefined && !this.#tries(worker))) this.#crew.remove(worker);
    else if (worker.forkAt <= now) {
      worker.phase = "starting";
      worker.startedAt = now;
      worker.heardAt = now;
      worker.pid = this.#processes.fork(worker);
    }
  }

  /** Whether a trial worker still has its purpose. */
  #tries(worker: Worker): boolean {
    for (const task of worker.trial?.tasks ?? []) if (this.#suspects.trialOf(task) === worker.trial) return true;
    return false;
  }

  #silent(worker: Worker, now: number, limit: number): boolean {
    const silent = now - worker.heardAt;
    if (silent < limit / 4) return false;
    worker.starvedBefore ??= this.#processes.starved(worker.id) ?? 0;
    if (silent < limit) return false;
    const starved = Math.max(0, (this.#processes.starved(worker.id) ?? 0) - worker.starvedBefore);
    return hangs({ silent, starved, heartbeat: limit });
  }

  #leave(worker: Worker, now: number): void {
    worker.phase = "leaving";
    worker.killAt = now + GRACE;
    this.#processes.send(worker.id, { type: "exit" });
  }

  #seeOut(worker: Worker, now: number): void {
    if (worker.killed) return;
    if (worker.killAt === undefined) {
      if (worker.runs.size === 0) this.#leave(worker, now);
    } else if (now >= worker.killAt) {
      worker.killed = true;
      this.#processes.kill(worker.id);
    }
  }

  /** Ends a worker with which something is wrong, and gives it a successor. */
  #condemn(worker: Worker, what: string, how: "kill" | "drain"): void {
    const blamed = blamedRun(worker);
    worker.condemned = what;
    this.#died(worker, { what, blamed, external: false });
    worker.phase = "leaving";
    worker.killAt = how === "kill" ? 0 : this.#now() + Math.max(GRACE, this.#settings.shutdown.timeout / 2);
    if (how === "drain") this.#stopRuns(worker.runs.values(), what);
    this.#seeOut(worker, this.#now());
  }

  /** Draws the conclusions from a death, for the worker's place and for its tasks. */
  #died(worker: Worker, cause: Cause): void {
    const now = this.#now();
    const tasks = [...new Set([...worker.runs.values()].map(({ task }) => task.id))];
    const fields = { worker: worker.number, pid: worker.pid, tasks: tasks.length, blamed: cause.blamed?.task.id };
    this.#logger.error(fields, `worker ${worker.number} is replaced: ${cause.what}`);
    if (this.#draining) return;
    this.#workerRestarts++;
    const memory = cause.what.startsWith("memory");
    const unknown = tasks.length > 0 && !cause.external ? "unknown" : "worker";
    this.#crew.succeed(worker, cause.blamed !== undefined || memory ? "task" : unknown, now);
    const verdicts = this.#suspects.death({
      at: now,
      tasks,
      blamed: cause.blamed?.task.id,
      external: cause.external,
      memory,
      age: now - worker.startedAt,
      trial: worker.trial,
    });
    for (const verdict of verdicts) this.#convict(verdict, cause.what, now);
  }

  /** An instance whose worker is gone. */
  #bereave(instance: Instance, what: string): void {
    if (this.#draining) this.#lost++;
    this.#detach(instance, undefined);
    if (!instance.wanted) return this.#settle(instance, what);
    instance.restarts++;
    const now = this.#now();
    if (instance.state !== "backing-off") setState(instance, "starting", instance.task.suspicion ?? `its worker died: ${what}`, now);
    this.#settle(instance, undefined);
  }

  // Suspects

  #convict(verdict: Verdict, what: string, now: number): void {
    const task = this.#tasks.get(verdict.task);
    if (task === undefined || task.next !== undefined) return;
    const quarantined = verdict.verdict === "quarantine";
    const alone = this.#suspects.trialOf(task.id)?.tasks.size === 1;
    task.suspicion = quarantined
      ? `it makes its worker die (${what}); tried again at ${new Date(verdict.until).toISOString()}`
      : `${alone ? "tried in a worker of its own" : "tried in a worker with some others"}, since its worker died (${what})`;
    if (quarantined || alone) this.#logger.warn({ task: task.id }, `${quarantined ? "quarantined" : "suspected"}: ${task.suspicion}`);
    for (const instance of task.instances) {
      if (instance.state === "finished") continue;
      instance.failures++;
      instance.wanted = !quarantined;
      instance.dueAt = alone ? now + backOff(instance.failures, this.#settings.restart, this.#random) : now;
      setState(instance, quarantined ? "quarantined" : "backing-off", task.suspicion, now);
    }
    if (quarantined || alone) this.#stopRuns(task.instances, task.suspicion);
  }

  /** Begins, ends and clears trials and quarantines as time passes. */
  #judge(now: number): void {
    for (const id of this.#suspects.release(now)) {
      for (const instance of this.#tasks.get(id)?.instances ?? []) {
        if (instance.state !== "quarantined") continue;
        instance.wanted = true;
        instance.restarts++;
        instance.dueAt = now;
        setState(instance, "starting", `tried again: ${instance.reason ?? ""}`, now);
      }
    }
    for (const id of this.#suspects.clear(now)) this.#acquit(id);
    for (const trial of this.#suspects.trials()) this.#gather(trial, now);
    for (const worker of this.#crew.all()) {
      const { trial } = worker;
      if (trial !== undefined && trial.until === undefined && worker.phase === "ready" && this.#complete(worker, now))
        trial.until = now + trial.length;
    }
  }

  /** Whether every instance of a trial's tasks has been started on the trial's worker. */
  #complete(worker: Worker, now: number): boolean {
    const waits = (instance: Instance) => instance.run === undefined && instance.dueAt > now;
    for (const id of worker.trial?.tasks ?? []) {
      const instances = this.#tasks.get(id)?.instances ?? [];
      if (!instances.every((each) => !each.wanted || waits(each) || (each.worker === worker && each.built))) return false;
    }
    return worker.runs.size > 0;
  }

  /** Brings the tasks of a trial to its worker, once there is room for one. */
  #gather(trial: Trial, now: number): void {
    const placed = [...trial.tasks].flatMap((id) => this.#tasks.get(id)?.instances.filter(({ run }) => run !== undefined) ?? []);
    const elsewhere = placed.filter(({ worker }) => worker?.trial !== trial);
    if (elsewhere.length === 0 || this.#crew.forTrial(trial, now) === undefined) return;
    this.#stopRuns(elsewhere, "it is to be tried in another worker");
  }

  /** Takes a task that did no harm back to the regular workers. */
  #acquit(id: string): void {
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    task.suspicion = undefined;
    for (const instance of task.instances) if (instance.wanted) instance.reason = undefined;
    this.#stopRuns(task.instances, "it goes back to a regular worker");
    this.#logger.info({ task: id }, "the task did no harm in its trial and goes back to a regular worker");
  }

  // Placing and stopping

  #place(now: number): void {
    const starts = new Map<Worker, Instance[]>();
    for (const task of this.#tasks.values()) {
      if (task.next !== undefined) continue;
      const trial = this.#suspects.trialOf(task.id);
      for (const instance of task.instances) {
        if (!instance.wanted || instance.run !== undefined || instance.dueAt > now) continue;
        const worker = this.#workerFor(task, trial, now);
        if (worker === undefined) break;
        this.#assign(instance, worker, now);
        if (worker.phase === "ready") starts.set(worker, [...(starts.get(worker) ?? []), instance]);
      }
    }
    for (const [worker, instances] of starts) this.#send(worker, instances);
  }

  /** A task that is one of many suspects runs on a regular worker as long as there is no room for its trial. */
  #workerFor(task: Task, trial: Trial | undefined, now: number): Worker | undefined {
    const own = trial === undefined ? undefined : this.#crew.forTrial(trial, now);
    return own ?? (trial === undefined || trial.tasks.size > 1 ? this.#crew.choose(task, now) : undefined);
  }

  #assign(instance: Instance, worker: Worker, now: number): void {
    const run = ++this.#lastRun;
    instance.run = run;
    instance.worker = worker;
    instance.abandoned = false;
    instance.built = false;
    worker.runs.set(run, instance);
    if (instance.state !== "starting") setState(instance, "starting", instance.reason, now);
  }

  /** A run that does not stop in time is given up; a worker in which not even that helps is replaced. */
  #enforceStops(now: number): void {
    if (this.#draining) return;
    for (const worker of this.#crew.all()) {
      const late = [...worker.runs].filter(([, instance]) => instance.stopBy !== undefined && now >= instance.stopBy);
      const given: RunId[] = [];
      for (const [run, instance] of late) {
        if (!instance.abandoned) {
          instance.abandoned = true;
          instance.stopBy = now + GRACE;
          given.push(run);
        } else if (worker.phase === "ready") {
          worker.words = { why: "blocked", run, what: "it does not stop" };
          this.#condemn(worker, `task ${instance.task.id} did not stop`, "kill");
        }
      }
      if (given.length > 0) this.#processes.send(worker.id, { type: "abandon", runs: given });
    }
  }
}
