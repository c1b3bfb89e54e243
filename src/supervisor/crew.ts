import type { Settings } from "../config/settings.ts";
import type { WorkerId } from "../worker/messages.ts";
import { backOff, type Random } from "./back-off.ts";
import type { Task, Worker } from "./model.ts";
import { MOST_ALONE, MOST_SEARCHING, type Trial } from "./suspects.ts";

/** A regular worker that starts within this time is worth waiting for: its tasks stay with it. Milliseconds. */
const SOON = 1000;

/** The longest back-off, in times of the shortest, of a worker that a task may have made die. */
const PATIENCE = 4;

/** The settings that decide about workers. */
export type CrewSettings = Pick<Settings, "workers" | "restart">;

/**
 * The workers there are: a regular one for each of the `workers` places, always, if only as one still to be started; and
 * workers in which tasks are tried. Pure bookkeeping: it starts and ends no process.
 */
export class Crew {
  readonly #settings: CrewSettings;
  readonly #random: Random;
  readonly #workers = new Map<WorkerId, Worker>();
  /** Failures in a row of each regular place. */
  readonly #failures: number[];
  #lastId: WorkerId = 0;

  constructor(settings: CrewSettings, random: Random, now: number) {
    this.#settings = settings;
    this.#random = random;
    this.#failures = Array.from({ length: settings.workers }, () => 0);
    for (let number = 1; number <= settings.workers; number++) this.#add(number, undefined, now);
  }

  get(id: WorkerId): Worker | undefined {
    return this.#workers.get(id);
  }

  /** In the order in which they were decided on. */
  all(): Iterable<Worker> {
    return this.#workers.values();
  }

  /**
   * The worker for one more instance of a task: the one with the fewest instances of that task, then with the fewest at
   * all, then with the lowest number.
   */
  choose(task: Task, now: number): Worker | undefined {
    let best: Worker | undefined;
    let bestSame = 0;
    for (const worker of this.#workers.values()) {
      if (worker.trial !== undefined || worker.phase === "leaving") continue;
      if (worker.phase === "pending" && worker.forkAt - now > SOON) continue;
      const same = task.instances.reduce((count, instance) => count + (instance.worker === worker ? 1 : 0), 0);
      if (best === undefined || same < bestSame || (same === bestSame && lighter(worker, best))) {
        best = worker;
        bestSame = same;
      }
    }
    return best;
  }

  /** The worker of a trial; a new one when there is room, else undefined. */
  forTrial(trial: Trial, now: number): Worker | undefined {
    const numbers = new Set<number>();
    let others = 0;
    const searching = trial.search !== undefined;
    for (const worker of this.#workers.values()) {
      if (worker.trial === undefined) continue;
      if (worker.trial === trial && worker.phase !== "leaving") return worker;
      numbers.add(worker.number);
      if ((worker.trial.search !== undefined) === searching) others++;
    }
    if (others >= (searching ? MOST_SEARCHING : MOST_ALONE)) return undefined;
    let number = this.#settings.workers + 1;
    while (numbers.has(number)) number++;
    return this.#add(number, trial, now);
  }

  /**
   * Takes a worker's place from it. A regular one gets a successor: at once when a task was at fault, else after a
   * back-off that doubles with each failure in a row, up to a low limit when a task may have been at fault.
   */
  succeed(worker: Worker, fault: "task" | "unknown" | "worker", now: number): void {
    if (worker.trial !== undefined) return;
    const place = worker.number - 1;
    let wait = 0;
    if (fault !== "task") {
      const lived = worker.startedAt === 0 ? 0 : now - worker.startedAt;
      const failures = lived >= this.#settings.restart.resetAfter ? 1 : (this.#failures[place] ?? 0) + 1;
      this.#failures[place] = failures;
      const { min, max } = this.#settings.restart;
      wait = backOff(failures, { min, max: fault === "worker" ? max : Math.min(max, PATIENCE * min) }, this.#random);
    }
    this.#add(worker.number, undefined, now + wait);
  }

  remove(worker: Worker): void {
    this.#workers.delete(worker.id);
  }

  #add(number: number, trial: Trial | undefined, forkAt: number): Worker {
    const worker: Worker = {
      id: ++this.#lastId,
      number,
      trial,
      phase: "pending",
      forkAt,
      startedAt: 0,
      pid: undefined,
      heardAt: 0,
      starvedBefore: undefined,
      inspected: false,
      rss: 0,
      loopLag: 0,
      runs: new Map(),
      models: new Map(),
      words: undefined,
      condemned: undefined,
      killAt: undefined,
      dismissed: false,
      killed: false,
    };
    this.#workers.set(worker.id, worker);
    return worker;
  }
}

function lighter(a: Worker, b: Worker): boolean {
  return a.runs.size < b.runs.size || (a.runs.size === b.runs.size && a.number < b.number);
}
