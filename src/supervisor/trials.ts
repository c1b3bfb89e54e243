import type { Logger } from "../contracts.ts";
import { backOff, type Random } from "./back-off.ts";
import type { Crew } from "./crew.ts";
import type { FleetOptions, FleetSettings } from "./fleet.ts";
import { type Instance, setState, type Task, type Worker } from "./model.ts";
import type { Roster } from "./roster.ts";
import type { Suspects, Trial, Verdict } from "./suspects.ts";

/** What a trial needs of the fleet. */
export interface TrialParts {
  readonly roster: Roster;
  readonly crew: Crew;
  readonly suspects: Suspects;
}

/** How the suspicion of a task that is tried alone begins. */
const ALONE = "tried in a worker of its own";

/** Carries out what the suspects' records say: brings tasks to workers of their own, into quarantine, and back. */
export class Trials {
  readonly #settings: FleetSettings;
  readonly #logger: Logger;
  readonly #random: Random;
  readonly #roster: Roster;
  readonly #crew: Crew;
  readonly #suspects: Suspects;

  constructor(options: FleetOptions, parts: TrialParts) {
    this.#settings = options.settings;
    this.#logger = options.logger;
    this.#random = options.random;
    this.#roster = parts.roster;
    this.#crew = parts.crew;
    this.#suspects = parts.suspects;
  }

  /** Does to a task what follows from the death of its worker. `what` says how that died. */
  convict(verdict: Verdict, what: string, now: number): void {
    const task = this.#roster.tasks.get(verdict.task);
    if (task === undefined || task.next !== undefined) return;
    const quarantined = verdict.verdict === "quarantine";
    const alone = this.#suspects.trialOf(task.id)?.tasks.size === 1;
    task.suspicion = quarantined
      ? `it makes its worker die (${what}); tried again at ${new Date(verdict.until).toISOString()}`
      : `${alone ? ALONE : "tried in a worker with some others"}, since its worker died (${what})`;
    if (quarantined || alone) this.#logger.warn({ task: task.id }, `${quarantined ? "quarantined" : "suspected"}: ${task.suspicion}`);
    for (const instance of task.instances) {
      if (!instance.wanted) continue;
      if (!quarantined && !alone && instance.worker?.phase === "ready") continue;
      instance.wanted = !quarantined;
      if (alone) instance.failures++;
      instance.dueAt = alone ? now + backOff(instance.failures, this.#settings.restart, this.#random) : now;
      setState(instance, quarantined ? "quarantined" : "backing-off", task.suspicion, now);
    }
    if (quarantined || alone) this.#roster.stopRuns(task.instances, task.suspicion);
  }

  /** Begins, ends and clears trials and quarantines as time passes. */
  judge(now: number): void {
    for (const id of this.#suspects.release(now)) {
      for (const instance of this.#roster.tasks.get(id)?.instances ?? []) {
        if (instance.state !== "quarantined") continue;
        instance.wanted = true;
        instance.restarts++;
        instance.dueAt = now;
        setState(instance, "starting", `tried again: ${instance.reason ?? ""}`, now);
      }
    }
    for (const worker of this.#crew.all()) this.#doubt(worker, now);
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
      const instances = this.#roster.tasks.get(id)?.instances ?? [];
      if (!instances.every((each) => !each.wanted || waits(each) || (each.worker === worker && each.built))) return false;
    }
    return worker.runs.size > 0;
  }

  /** Nothing is proven by a worker that is silent: it may be hanging. */
  #doubt(worker: Worker, now: number): void {
    const { trial, heardAt } = worker;
    if (trial?.until === undefined || worker.phase === "leaving") return;
    if (now - heardAt > this.#settings.worker.heartbeat / 4) trial.until = Math.max(trial.until, now + this.#settings.worker.heartbeat);
  }

  /** Brings the tasks of a trial to its worker, once there is room for one. */
  #gather(trial: Trial, now: number): void {
    const placed = [...trial.tasks].flatMap((id) => this.#roster.tasks.get(id)?.instances.filter(({ run }) => run !== undefined) ?? []);
    const elsewhere = placed.filter(({ worker }) => worker?.trial !== trial);
    if (elsewhere.length === 0 || this.#crew.forTrial(trial, now) === undefined) return;
    this.#roster.stopRuns(elsewhere, "it is to be tried in another worker");
  }

  /** Takes a task that did no harm back to the regular workers. */
  #acquit(id: string): void {
    const task = this.#roster.tasks.get(id);
    if (task === undefined) return;
    const blamed = task.suspicion?.startsWith(ALONE) === true;
    task.suspicion = undefined;
    for (const instance of task.instances) if (instance.wanted) instance.reason = undefined;
    this.#roster.stopRuns(task.instances, "it goes back to a regular worker");
    const text = "the task did no harm in its trial and goes back to a regular worker";
    if (blamed) this.#logger.info({ task: id }, text);
    else this.#logger.debug({ task: id }, text);
  }

  /** A task that is one of many suspects runs on a regular worker as long as there is no room for its trial. */
  workerFor(task: Task, now: number): Worker | undefined {
    const trial = this.#suspects.trialOf(task.id);
    const own = trial === undefined ? undefined : this.#crew.forTrial(trial, now);
    return own ?? (trial === undefined || trial.tasks.size > 1 ? this.#crew.choose(task, now) : undefined);
  }

  /** Whether a trial worker still has its purpose. */
  tries(worker: Worker): boolean {
    for (const task of worker.trial?.tasks ?? []) if (this.#suspects.trialOf(task) === worker.trial) return true;
    return false;
  }
}
