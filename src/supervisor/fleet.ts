import type { Settings } from "../config/settings.ts";
import type { Logger } from "../contracts.ts";
import type { ModelFigures } from "../observability/model-metrics.ts";
import type { InvalidTask, TaskChange } from "../tasks/task.ts";
import type { FromWorker, LastWords, RunId, ToWorker, WorkerId, WorkerReport } from "../worker/messages.ts";
import type { Random } from "./back-off.ts";
import { Crew } from "./crew.ts";
import { type Cause, causeOf, type Exit, hangs, mebibytes } from "./deaths.ts";
import { ModelLedger, type ModelView, viewModels } from "./model-ledger.ts";
import { type Instance, type Task, type TaskView, viewInvalid, viewTask, type Worker } from "./model.ts";
import { Roster } from "./roster.ts";
import { Suspects } from "./suspects.ts";
import { Trials } from "./trials.ts";

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
  readonly #crew: Crew;
  readonly #suspects: Suspects;
  readonly #roster: Roster;
  readonly #trials: Trials;
  readonly #ledger = new ModelLedger();
  #invalid: readonly InvalidTask[] = [];
  #lastTick: number | undefined;
  #workerRestarts = 0;

  constructor(options: FleetOptions) {
    this.#settings = options.settings;
    this.#processes = options.processes;
    this.#logger = options.logger;
    this.#now = options.now;
    this.#crew = new Crew(options.settings, options.random, options.now());
    this.#suspects = new Suspects(options.settings.quarantine, options.settings.restart.resetAfter);
    this.#roster = new Roster(options, this.#suspects);
    this.#trials = new Trials(options, { roster: this.#roster, crew: this.#crew, suspects: this.#suspects });
  }

  /** All tasks that can run, or did before they were removed and still end. */
  get tasks(): Iterable<Task> {
    return this.#roster.tasks.values();
  }

  get workers(): Iterable<Worker> {
    return this.#crew.all();
  }

  /** Whether everything has stopped after `drain`. */
  get drained(): boolean {
    return this.#roster.draining && [...this.#crew.all()].length === 0;
  }

  /** Instances whose worker died during the drain, so that they did not finish what they had read. */
  get lost(): number {
    return this.#roster.lost;
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
    const views = [...this.#roster.tasks.values()].map((task) =>
      viewTask(
        task,
        this.#invalid.find(({ id, replaced }) => replaced && id === task.id),
      ),
    );
    return [...views, ...this.#invalid.filter((task) => !task.replaced).map(viewInvalid)];
  }

  /** What was counted of models since the supervisor started. */
  modelFigures(): readonly ModelFigures[] {
    return this.#ledger.figures(this.#crew.all());
  }

  /** The models as `/api/models` shows them. */
  modelViews(): readonly ModelView[] {
    return viewModels(this.#crew.all());
  }

  /** Starts, restarts and stops exactly the tasks of a change. */
  apply(change: TaskChange): void {
    this.#invalid = change.set.invalid;
    this.#roster.apply(change);
    this.tick();
  }

  /** Gives tasks that failed or are in quarantine another chance. */
  retry(): void {
    this.#roster.retry();
    this.tick();
  }

  /** Stops everything: each instance finishes what it has read, then the workers end. */
  drain(): void {
    this.#roster.drain();
    this.tick();
  }

  /** Takes in a message of a worker. */
  message(id: WorkerId, message: FromWorker): void {
    const worker = this.#crew.get(id);
    if (worker === undefined) return;
    worker.heardAt = this.#now();
    worker.starvedBefore = undefined;
    if (message.type === "ready") this.#ready(worker);
    else if (message.type === "report") this.#report(worker, message);
    else if (message.type !== "reloaded") {
      const instance = worker.runs.get(message.run);
      if (instance === undefined) return;
      this.#roster.hear(instance, message);
      if (message.type === "ended") this.tick();
    }
  }

  /** Takes in what a worker says that is dying or hangs. */
  words(id: WorkerId, words: LastWords): void {
    const worker = this.#crew.get(id);
    if (worker === undefined) return;
    worker.words = words;
    if (words.why === "memory" && worker.phase === "ready") this.#condemn(worker, this.#tooLarge(worker, words.what), "kill");
  }

  /** Takes in that a worker process has ended. */
  gone(id: WorkerId, exit: Exit): void {
    const worker = this.#crew.get(id);
    if (worker === undefined) return;
    let what = worker.condemned;
    if (what === undefined && worker.phase !== "leaving") {
      const cause = causeOf(worker, exit, this.#settings.worker.rssLimit);
      what = cause.what;
      worker.phase = "leaving";
      this.#died(worker, cause);
    }
    this.#crew.remove(worker);
    this.#ledger.forget(worker);
    for (const instance of worker.runs.values()) this.#roster.bereave(instance, what ?? "it was told to exit");
    this.tick();
  }

  /** Does what is due. */
  tick(): void {
    const now = this.#now();
    this.#forgiveOwnLateness(now);
    this.#roster.advance(now);
    if (!this.#roster.draining) this.#trials.judge(now);
    for (const worker of this.#crew.all()) this.#tend(worker, now);
    if (!this.#roster.draining) this.#place(now);
    this.#enforceStops(now);
  }

  // What workers say

  #ready(worker: Worker): void {
    if (worker.phase !== "starting") return;
    worker.phase = "ready";
    this.#roster.send(worker, [...worker.runs.values()]);
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
    this.#ledger.hear(worker, report.models);
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
    else if (this.#roster.draining && worker.runs.size === 0) this.#leave(worker, now);
    else if (worker.trial !== undefined && worker.runs.size === 0 && !this.#trials.tries(worker)) this.#leave(worker, now);
    else if (worker.phase === "starting") {
      const { startTimeout } = this.#settings.worker;
      if (this.#silent(worker, now, startTimeout)) this.#condemn(worker, `it was not ready after ${startTimeout / 1000} s`, "kill");
    } else if (!worker.inspected && this.#silent(worker, now, this.#settings.worker.heartbeat)) {
      const detail = worker.words?.what ?? "the event loop hangs";
      this.#condemn(worker, `hang: no sign of life for ${this.#settings.worker.heartbeat / 1000} s, ${detail}`, "kill");
    }
  }

  #start(worker: Worker, now: number): void {
    if (this.#roster.draining || (worker.trial !== undefined && !this.#trials.tries(worker))) this.#crew.remove(worker);
    else if (worker.forkAt <= now) {
      worker.phase = "starting";
      worker.startedAt = now;
      worker.heardAt = now;
      worker.pid = this.#processes.fork(worker);
    }
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
    worker.dismissed = true;
    worker.killAt = Math.min(worker.killAt ?? Infinity, now + GRACE);
    this.#processes.send(worker.id, { type: "exit" });
  }

  #seeOut(worker: Worker, now: number): void {
    if (worker.killed) return;
    if (worker.killAt !== undefined && now >= worker.killAt) {
      worker.killed = true;
      this.#processes.kill(worker.id);
    } else if (worker.runs.size === 0 && !worker.dismissed) this.#leave(worker, now);
  }

  /** Ends a worker with which something is wrong, and gives it a successor. */
  #condemn(worker: Worker, what: string, how: "kill" | "drain"): void {
    const blamed = worker.words?.task;
    worker.condemned = what;
    worker.phase = "leaving";
    this.#died(worker, { what, blamed, external: false });
    worker.killAt = how === "kill" ? 0 : this.#now() + Math.max(GRACE, this.#settings.shutdown.timeout / 2);
    if (how === "drain") this.#roster.stopRuns(worker.runs.values(), what);
    this.#seeOut(worker, this.#now());
  }

  /** Draws the conclusions from a death, for the worker's place and for its tasks. */
  #died(worker: Worker, cause: Cause): void {
    const now = this.#now();
    const tasks = [...new Set([...worker.runs.values()].map(({ task }) => task.id))];
    const fields = { worker: worker.number, pid: worker.pid, tasks: tasks.length, blamed: cause.blamed };
    this.#logger.error(fields, `worker ${worker.number} is replaced: ${cause.what}`);
    if (this.#roster.draining) return;
    this.#workerRestarts++;
    const memory = cause.what.startsWith("memory");
    const unknown = tasks.length > 0 && !cause.external ? "unknown" : "worker";
    this.#crew.succeed(worker, cause.blamed !== undefined || memory ? "task" : unknown, now);
    // It has ended and can do no more harm: what it had left behind is gone with the process.
    if (cause.blamed !== undefined && !this.#roster.wants(cause.blamed)) return;
    const verdicts = this.#suspects.death({
      at: now,
      tasks,
      blamed: cause.blamed,
      killed: cause.external ? begun(worker) : undefined,
      memory,
      age: now - worker.startedAt,
      trial: worker.trial,
    });
    for (const verdict of verdicts) this.#trials.convict(verdict, cause.what, now);
  }

  // Placing and stopping

  #place(now: number): void {
    const starts = new Map<Worker, Instance[]>();
    for (const task of this.#roster.tasks.values()) {
      if (task.next !== undefined) continue;
      for (const instance of task.instances) {
        if (!instance.wanted || instance.run !== undefined || instance.dueAt > now) continue;
        const worker = this.#trials.workerFor(task, now);
        if (worker === undefined) break;
        this.#roster.assign(instance, worker, now);
        if (worker.phase === "ready") starts.set(worker, [...(starts.get(worker) ?? []), instance]);
      }
    }
    for (const [worker, instances] of starts) this.#roster.send(worker, instances);
  }

  /** A run that does not stop in time is given up; a worker in which not even that helps is replaced. */
  #enforceStops(now: number): void {
    if (this.#roster.draining) return;
    for (const worker of this.#crew.all()) {
      const late = [...worker.runs].filter(([, instance]) => instance.stopBy !== undefined && now >= instance.stopBy);
      const given: RunId[] = [];
      for (const [run, instance] of late) {
        // A worker that is silent may hang: it can't obey then, whichever task it was asked to stop.
        if (now - worker.heardAt > this.#settings.worker.heartbeat / 4) instance.stopBy = now + GRACE;
        else if (!instance.abandoned) {
          instance.abandoned = true;
          instance.stopBy = now + GRACE;
          given.push(run);
        } else if (worker.phase === "ready") {
          worker.words = { why: "blocked", task: instance.task.id, what: "it does not stop" };
          this.#condemn(worker, `task ${instance.task.id} did not stop`, "kill");
        }
      }
      if (given.length > 0) this.#processes.send(worker.id, { type: "abandon", runs: given });
    }
  }
}

/** When each task of a worker was last begun there; without those that were still to be sent to it. */
function begun(worker: Worker): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const { task, begunAt } of worker.runs.values()) {
    if (begunAt !== undefined) times.set(task.id, Math.max(begunAt, times.get(task.id) ?? 0));
  }
  return times;
}
