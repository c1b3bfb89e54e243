import type { Settings } from "../config/settings.ts";
import type { LoadedSettings } from "../config/settings.ts";
import type { Logger } from "../contracts.ts";
import { ConfigError, type Fault, messageOf, PlannedStop } from "../errors.ts";
import { type AdminServer, type NotReady, startAdmin } from "../observability/admin.ts";
import { logFormat, type Logs, openLogs } from "../observability/logs.ts";
import { openMetrics } from "../observability/metrics.ts";
import { openTaskManager } from "../tasks/manager.ts";
import type { TaskManager } from "../tasks/manager.ts";
import type { TaskChange, TaskDefinition, TaskSet } from "../tasks/task.ts";
import type { FromWorker, WorkerId } from "../worker/messages.ts";
import { CheckpointLock } from "./checkpoint-lock.ts";
import { Fleet, TICK } from "./fleet.ts";
import { ModelReloads } from "./model-reloads.ts";
import { outcomeOf } from "./outcome.ts";
import { Progress } from "./progress.ts";
import { fleetFigures, notReady } from "./shown.ts";
import { listenToSignals } from "./signals.ts";
import { WorkerProcesses } from "./worker-processes.ts";

/** A task store that takes longer to answer, or a task whose pipeline does to build, holds up no other. Milliseconds. */
const HOLD = 1000;

/** Options of `runSupervisor`. */
export interface SupervisorOptions {
  /** Texts that must never be shown, as `loadSettings` found them. */
  readonly secrets: readonly string[];
  /** `done`: end when every task with a finite input has finished; `signal`: when a signal says so. */
  readonly until: "signal" | "done";
  /** What becomes of saved state that does not fit its pipeline any more; default `refuse`. */
  readonly misfit?: "refuse" | "reset";
  /** Reads the settings anew, for SIGHUP. Without it only products and tasks are read anew. */
  readonly reload?: () => Promise<LoadedSettings>;
  /** Told when the admin server listens, with its address. */
  readonly listening?: (url: string) => void;
}

/** Exit codes; see the README. */
const DONE = 0;
const FAILED = 1;
const DRAIN_TIMEOUT = 124;
const SIGNALLED = 128;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/**
 * Runs all tasks in worker processes until it is told to end.
 * @returns the exit code of the process: 0 drained or done, 1 something failed, 124 the drain took too long, 128 + signal
 *   after a second signal
 * @throws {ConfigError} when there is no valid task at all
 * @throws {InfrastructureError} when the admin server can't listen
 */
export async function runSupervisor(settings: Settings, options: SupervisorOptions): Promise<number> {
  const supervisor = new Supervisor(settings, options);
  return await supervisor.run();
}

class Supervisor {
  readonly #settings: Settings;
  readonly #options: SupervisorOptions;
  readonly #logs: Logs;
  readonly #logger: Logger;
  readonly #processes: WorkerProcesses;
  readonly #fleet: Fleet;
  readonly #reloads: ModelReloads;
  readonly #progress: Progress | undefined;
  readonly #lock: CheckpointLock;
  readonly #stopped = new AbortController();
  readonly #exit = Promise.withResolvers<number>();
  #manager: TaskManager | undefined;
  #code = DONE;
  #ended = false;
  #reloadAsked = false;
  #reloading = false;
  #drainTimer: NodeJS.Timeout | undefined;

  constructor(settings: Settings, options: SupervisorOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#lock = new CheckpointLock(settings.checkpoint.store);
    const terminal = process.stdout.isTTY;
    const log = { level: settings.log.level, format: logFormat(settings.log.format, terminal), secrets: options.secrets };
    this.#logs = openLogs(log, {});
    this.#logger = this.#logs.logger;
    this.#processes = new WorkerProcesses(
      settings,
      log,
      {
        message: (worker, message) => this.#hear(worker, this.#shown(message)),
        words: (worker, words) => this.#fleet.words(worker, { ...words, what: this.#logs.shown(words.what) }),
        gone: (worker, exit) => {
          this.#fleet.gone(worker, exit);
          this.#reloads.gone(worker);
        },
      },
      options.misfit ?? "refuse",
    );
    const processes = this.#processes;
    this.#fleet = new Fleet({ settings, processes, logger: this.#logger, now: steadyTime, random: Math.random });
    this.#reloads = new ModelReloads({ fleet: this.#fleet, send: (worker, message) => processes.send(worker, message) });
    if (terminal || options.until === "done") this.#progress = new Progress(this.#fleet, this.#logger);
  }

  async run(): Promise<number> {
    const deafen = listenToSignals({
      drain: (signal) => this.#drain(`${signal}: draining, for at most ${this.#settings.shutdown.timeout / 1000} s`, DONE),
      abort: (signal) => this.#abort(signal),
      reload: () => void this.#reloadInTurn(),
    });
    let ticking: NodeJS.Timeout | undefined;
    try {
      await using _lock = this.#lock;
      await using admin = await this.#startAdmin();
      await using manager = await openTaskManager(this.#settings, { logger: this.#logger, signal: this.#stopped.signal, hold: HOLD });
      this.#manager = manager;
      this.#options.listening?.(admin.url);
      await this.#begin(manager.current());
      void this.#follow(manager);
      ticking = setInterval(() => this.#tick(), TICK);
      const code = await this.#exit.promise;
      this.#progress?.summarize();
      return code;
    } catch (error) {
      // Ended before the tasks were read.
      if (this.#stopped.signal.aborted) return await this.#exit.promise;
      throw error;
    } finally {
      clearInterval(ticking);
      clearTimeout(this.#drainTimer);
      this.#stopped.abort(new PlannedStop("the supervisor ends"));
      this.#processes.killAll();
      deafen();
    }
  }

  async #startAdmin(): Promise<AdminServer> {
    const figures = fleetFigures(this.#fleet);
    const admin = await startAdmin(
      {
        tasks: () => this.#fleet.views(),
        notReady: () => this.#notReady(),
        metrics: openMetrics(figures),
        models: () => this.#fleet.modelViews(),
        modelReloads: this.#reloads,
      },
      this.#settings.admin,
    );
    this.#logger.info({ url: admin.url, pid: process.pid, workers: this.#settings.workers }, `the admin server listens on ${admin.url}`);
    return admin;
  }

  #notReady(): readonly NotReady[] {
    const set = this.#manager?.current();
    return set === undefined ? [{ what: "tasks", why: "they are being read" }] : notReady(this.#fleet, set);
  }

  async #begin(set: TaskSet): Promise<void> {
    if (set.valid.size === 0 && !this.#awaits(set)) throw new ConfigError(faultsOf(set));
    await this.#lock.forTasks(set.valid.values());
    this.#hideSecrets(set);
    this.#fleet.apply({ added: [...set.valid.values()], changed: [], removed: [], set });
  }

  /** Whether tasks may still come from a store that is away, such as a database. A folder that is missing is a mistake. */
  #awaits(set: TaskSet): boolean {
    return set.awayStores.some(({ store }) => !store.startsWith("files "));
  }

  async #follow(manager: TaskManager): Promise<void> {
    try {
      for await (const change of manager.changes(this.#stopped.signal)) {
        this.#hideSecrets(change.set);
        this.#fleet.apply(await this.#unlessLocked(change));
      }
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#logger.error({}, `changes of tasks are followed no more: ${messageOf(error)}`);
    }
  }

  /** Tasks whose checkpoints another supervisor makes are not begun here. */
  async #unlessLocked(change: TaskChange): Promise<TaskChange> {
    const { added, changed } = change;
    try {
      await this.#lock.forTasks([...added, ...changed]);
      return change;
    } catch (error) {
      const allowed = (task: TaskDefinition) => !this.#lock.needs(task);
      const refused = [...added, ...changed].filter((task) => !allowed(task)).map(({ id }) => id);
      this.#logger.error({ tasks: refused }, `these tasks are not run: ${messageOf(error)}`);
      return { ...change, added: added.filter(allowed), changed: changed.filter(allowed) };
    }
  }

  #hideSecrets(set: TaskSet): void {
    for (const { secrets } of set.valid.values()) this.#logs.hide(secrets);
  }

  #hear(worker: WorkerId, message: FromWorker): void {
    this.#fleet.message(worker, message);
    if (message.type === "reloaded") this.#reloads.hear(worker, message.request, message.outcomes);
  }

  /** Reasons end up in the admin server. Those of models were stripped of secrets by their worker, which knows its tasks' as well. */
  #shown(message: FromWorker): FromWorker {
    if (message.type === "waiting" && message.reason !== undefined) return { ...message, reason: this.#logs.shown(message.reason) };
    if (message.type !== "ended" || message.end.how !== "failed") return message;
    return { ...message, end: { ...message.end, reason: this.#logs.shown(message.end.reason) } };
  }

  #tick(): void {
    this.#fleet.tick();
    this.#progress?.tell();
    if (this.#fleet.drained) {
      this.#end(this.#fleet.lost > 0 ? FAILED : this.#code, "everything has stopped");
    } else if (this.#options.until === "done" && this.#drainTimer === undefined && !this.#waiting()) {
      const outcome = outcomeOf(this.#fleet);
      if (outcome !== undefined) this.#drain(outcome.what, outcome.failed ? FAILED : DONE);
    }
  }

  #waiting(): boolean {
    const set = this.#manager?.current();
    if (set === undefined || set.pending.length > 0 || set.awayStores.some(({ silent }) => silent)) return true;
    return set.valid.size === 0 && this.#awaits(set);
  }

  #drain(why: string, code: number): void {
    this.#logger.info({}, why);
    this.#code = code;
    if (this.#manager === undefined) {
      this.#end(code, "nothing was running yet");
      this.#stopped.abort(new PlannedStop("the supervisor ends"));
    }
    this.#fleet.drain();
    this.#drainTimer = setTimeout(() => {
      this.#end(DRAIN_TIMEOUT, "the drain took too long: what was in flight is given up");
    }, this.#settings.shutdown.timeout);
  }

  /** Waits for nothing, such as a task store that gives no answer. */
  #abort(signal: NodeJS.Signals): never {
    const code = SIGNALLED + (SIGNAL_NUMBERS[signal] ?? 0);
    this.#logger.info({ exitCode: code }, `${signal} again: ending at once`);
    this.#processes.killAll();
    process.exit(code);
  }

  #end(code: number, why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#logger.info({ exitCode: code }, why);
    this.#exit.resolve(code);
  }

  /** One reload after the other. All that are asked for during one are one. */
  async #reloadInTurn(): Promise<void> {
    this.#reloadAsked = true;
    if (this.#reloading) return;
    this.#reloading = true;
    while (this.#reloadAsked) {
      this.#reloadAsked = false;
      await this.#reload();
    }
    this.#reloading = false;
  }

  /** Reads settings, products and tasks anew. What is wrong is told, and what runs goes on. */
  async #reload(): Promise<void> {
    if (this.#drainTimer !== undefined) return;
    try {
      const loaded = await this.#options.reload?.();
      if (loaded !== undefined) this.#compare(loaded.settings);
      const change = await this.#manager?.reload();
      this.#fleet.retry();
      const { added = [], changed = [], removed = [] } = change ?? {};
      const counts = { added: added.length, changed: changed.length, removed: removed.length };
      this.#logger.info(counts, "products and tasks were read anew");
    } catch (error) {
      this.#logger.error({}, `the reload was refused, everything goes on as before: ${messageOf(error)}`);
    }
  }

  #compare(settings: Settings): void {
    const names = Object.keys(settings) as (keyof Settings)[];
    const changed = names.filter((name) => JSON.stringify(settings[name]) !== JSON.stringify(this.#settings[name]));
    if (changed.length > 0) this.#logger.warn({ settings: changed }, `changed settings that need a restart: ${changed.join(", ")}`);
  }
}

function faultsOf(set: TaskSet): readonly Fault[] {
  const faults = [
    ...set.invalid.map(({ where, reason }) => ({ where, what: reason })),
    ...set.brokenProducts.map(({ file, reason }) => ({ where: file, what: reason })),
    ...set.awayStores.map(({ store, reason }) => ({ where: store, what: reason })),
  ];
  return faults.length > 0 ? faults : [{ where: "tasks", what: "there is no task: add one to a task store" }];
}

/** Milliseconds since the epoch as the clock had them when the process began: a clock that is set must not make workers seem silent, nor waits long. */
function steadyTime(): number {
  return Math.round(performance.timeOrigin + performance.now());
}
