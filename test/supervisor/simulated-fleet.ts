import type { Logger } from "../../src/contracts.ts";
/**
 * A fleet with simulated processes and time: the same seed gives the same run.
 */
import { noCounts } from "../../src/pipeline/counters.ts";
import type { Exit } from "../../src/supervisor/deaths.ts";
import { Fleet, type FleetSettings, type Processes, TICK } from "../../src/supervisor/fleet.ts";
import type { Worker } from "../../src/supervisor/model.ts";
import type { TaskChange, TaskDefinition } from "../../src/tasks/task.ts";
import type { Assignment, FromWorker, RunId, RunStats, ToWorker, WorkerId } from "../../src/worker/messages.ts";

/** What a simulated instance does once it was started. */
export interface Behaviour {
  /** Makes its process die after so many milliseconds. */
  readonly diesAfter?: number;
  /** Whether the process can say who did it. */
  readonly named?: boolean;
  /** The signal or exit code of that death; default exit code 3. */
  readonly signal?: NodeJS.Signals;
  /** The process goes silent after so many milliseconds. */
  readonly hangsAfter?: number;
  /** Bytes that it adds to its process each second. */
  readonly leaks?: number;
  /** Ends the run at once. */
  readonly ends?: Extract<FromWorker, { type: "ended" }>["end"];
  /** Does not stop when asked to. */
  readonly stubborn?: boolean;
}

interface SimulatedRun {
  readonly assignment: Assignment;
  readonly startedAt: number;
}

interface SimulatedProcess {
  readonly id: WorkerId;
  readonly number: number;
  readonly runs: Map<RunId, SimulatedRun>;
  readonly bornAt: number;
  rss: number;
  silent: boolean;
  reportedAt: number;
}

const BASE_RSS = 100 * 1024 * 1024;

export const settings: FleetSettings = {
  workers: 2,
  worker: { heartbeat: 10_000, startTimeout: 30_000, rssLimit: 500 * 1024 * 1024 },
  restart: { min: 1000, max: 60_000, resetAfter: 60_000 },
  quarantine: { after: 3, min: 60_000, max: 3_600_000 },
  shutdown: { timeout: 20_000 },
};

export function definition(id: string, more: Partial<TaskDefinition> = {}): TaskDefinition {
  return {
    id,
    product: "p",
    folder: "/products/p",
    code: "1",
    instances: 1,
    enabled: true,
    config: {},
    secrets: [],
    where: `tasks/${id}.yaml`,
    warnings: [],
    keepsCheckpoints: false,
    statefulSteps: [],
    modelFiles: [],
    ...more,
  };
}

export function change(part: Partial<Omit<TaskChange, "set">>): TaskChange {
  const set = { valid: new Map(), invalid: [], products: [], brokenProducts: [], awayStores: [], pending: [] };
  return { added: [], changed: [], removed: [], ...part, set };
}

/** Runs a fleet on virtual time. */
export class Simulation implements Processes {
  now = 1_000_000;
  readonly fleet: Fleet;
  readonly behaviours = new Map<string, Behaviour>();
  readonly processes = new Map<WorkerId, SimulatedProcess>();
  readonly log: string[] = [];
  /** How often each task was started. */
  readonly starts = new Map<string, number>();
  readonly killed: WorkerId[] = [];
  starvedFor: (worker: WorkerId) => number | undefined = () => undefined;
  #seed: number;

  constructor(options: { readonly settings?: Partial<FleetSettings>; readonly seed?: number } = {}) {
    this.#seed = options.seed ?? 1;
    const logger: Logger = {
      debug: () => undefined,
      info: (_, message) => void this.log.push(message),
      warn: (_, message) => void this.log.push(message),
      error: (_, message) => void this.log.push(message),
      child: () => logger,
    };
    this.fleet = new Fleet({
      settings: { ...settings, ...options.settings },
      processes: this,
      logger,
      now: () => this.now,
      random: () => this.#random(),
    });
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed / 2 ** 32;
  }

  fork(worker: Pick<Worker, "id" | "number">): number {
    const born: SimulatedProcess = {
      id: worker.id,
      number: worker.number,
      runs: new Map(),
      bornAt: this.now,
      rss: BASE_RSS,
      silent: false,
      reportedAt: this.now,
    };
    this.processes.set(worker.id, born);
    return 1000 + worker.id;
  }

  send(id: WorkerId, message: ToWorker): void {
    const process = this.processes.get(id);
    if (process === undefined || process.silent) return;
    if (message.type === "start") {
      for (const assignment of message.assignments) {
        process.runs.set(assignment.run, { assignment, startedAt: this.now });
        this.starts.set(assignment.task.id, (this.starts.get(assignment.task.id) ?? 0) + 1);
        this.#say(process, { type: "built", run: assignment.run, finite: false });
        this.#say(process, { type: "running", run: assignment.run });
      }
    } else if (message.type === "stop" || message.type === "abandon") {
      for (const run of message.runs) {
        const task = process.runs.get(run)?.assignment.task.id ?? "";
        if (this.behaviours.get(task)?.stubborn === true) continue;
        this.#end(process, run, { how: "stopped" });
      }
    } else if (message.type === "exit") this.die(id, { code: 0, signal: null });
  }

  kill(id: WorkerId): void {
    this.killed.push(id);
    this.die(id, { code: null, signal: "SIGKILL" });
  }

  starved(id: WorkerId): number | undefined {
    return this.starvedFor(id);
  }

  /** Messages arrive at the next step, as they do over a channel. */
  #mail: (() => void)[] = [];

  #say(process: SimulatedProcess, message: FromWorker): void {
    this.#mail.push(() => this.fleet.message(process.id, message));
  }

  #end(process: SimulatedProcess, run: RunId, end: Extract<FromWorker, { type: "ended" }>["end"]): void {
    process.runs.delete(run);
    this.#say(process, { type: "ended", run, end, stats: undefined });
  }

  die(id: WorkerId, exit: Exit): void {
    if (this.processes.delete(id)) this.#mail.push(() => this.fleet.gone(id, exit));
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now += TICK;
      for (const process of this.processes.values()) this.#live(process);
      this.#deliver();
      this.fleet.tick();
      this.#deliver();
    }
  }

  #deliver(): void {
    while (this.#mail.length > 0) {
      const mail = this.#mail;
      this.#mail = [];
      for (const arrive of mail) arrive();
    }
  }

  #live(process: SimulatedProcess): void {
    if (process.silent) return;
    if (process.bornAt + 500 > this.now) return;
    if (process.bornAt + 500 === this.now) this.#say(process, { type: "ready" });
    for (const [run, { assignment, startedAt }] of process.runs) {
      const behaviour = this.behaviours.get(assignment.task.id);
      if (behaviour === undefined) continue;
      const age = this.now - startedAt;
      process.rss += ((behaviour.leaks ?? 0) * TICK) / 1000;
      if (behaviour.ends !== undefined) this.#end(process, run, behaviour.ends);
      if (behaviour.hangsAfter !== undefined && age >= behaviour.hangsAfter) {
        process.silent = true;
        if (behaviour.named === true)
          this.#mail.push(() => this.fleet.words(process.id, { why: "blocked", task: assignment.task.id, what: "it loops" }));
        return;
      }
      if (behaviour.diesAfter !== undefined && age >= behaviour.diesAfter) {
        if (behaviour.named === true)
          this.#mail.push(() => this.fleet.words(process.id, { why: "exit", task: assignment.task.id, what: "process.exit was called" }));
        this.die(process.id, behaviour.signal === undefined ? { code: 3, signal: null } : { code: null, signal: behaviour.signal });
        return;
      }
    }
    if (this.now - process.reportedAt < 1000) return;
    process.reportedAt = this.now;
    const stats = [...process.runs].map(([run, { startedAt }]): [RunId, RunStats] => [run, statsOf(this.now - startedAt)]);
    this.#say(process, { type: "report", rss: process.rss, loopLag: 0, inspected: false, stats, models: [] });
  }

  add(...definitions: readonly TaskDefinition[]): void {
    this.fleet.apply(change({ added: definitions }));
  }

  /** The states of all tasks. */
  states(): Record<string, string> {
    return Object.fromEntries(this.fleet.views().map(({ id, state }) => [id, state]));
  }

  /** The worker numbers that a task's instances are on. */
  workersOf(task: string): (number | undefined)[] {
    return (
      this.fleet
        .views()
        .find(({ id }) => id === task)
        ?.instances.map(({ worker }) => worker) ?? []
    );
  }
}

function statsOf(events: number): RunStats {
  return {
    ...noCounts(),
    in: events,
    out: events,
    lag: 0,
    latency: { counts: [events], sum: 0 },
  };
}
