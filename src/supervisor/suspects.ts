import type { QuarantineSettings } from "../config/settings.ts";

/** Tasks that share a worker of their own until one of them has made it die or time has cleared them. */
export interface Trial {
  readonly number: number;
  readonly tasks: Set<string>;
  /** How long the trial takes from the moment the tasks were started. Milliseconds. */
  readonly length: number;
  /** When it ends; undefined while it waits for a worker. */
  until: number | undefined;
  /** The search that the trial belongs to; undefined for a task tried alone because it was blamed. */
  readonly search: Search | undefined;
}

/** A search for the culprit among many tasks, after deaths that named none. */
interface Search {
  found: number;
  open: number;
  /** Whether a group was cleared before its time. */
  hurried: boolean;
}

/** How a worker died, as far as it matters for finding out which task did it. */
export interface Death {
  readonly at: number;
  /** The tasks that it ran. */
  readonly tasks: readonly string[];
  /** The task whose code was being executed, if that is known. */
  readonly blamed: string | undefined;
  /** When it looks as if somebody outside killed it: when each task that ran there was begun. */
  readonly killed: ReadonlyMap<string, number> | undefined;
  /** Whether it was replaced for its memory: that never comes from outside. */
  readonly memory: boolean;
  /** How long it had run. Milliseconds. */
  readonly age: number;
  /** The trial that it was for, if any. */
  readonly trial: Trial | undefined;
}

/** What follows from a death for one task. Tasks without a verdict go on as before. */
export type Verdict =
  | { readonly task: string; readonly verdict: "trial" }
  /** @property until when it is tried again, alone; milliseconds since the epoch */
  | { readonly task: string; readonly verdict: "quarantine"; readonly until: number };

/** What is remembered about a task that was blamed. */
interface TaskRecord {
  deathsAlone: number;
  /** Deaths alone that look as if somebody outside had killed its worker. */
  killedAlone: number;
  /** Times in quarantine since it last ran well. */
  quarantines: number;
  /** Trials that it has passed: each doubles the next one. */
  passed: number;
  until: number | undefined;
}

/** Groups that a search splits its suspects into. */
const SPLIT = 4;
/** Workers that may exist at once, besides the regular ones, for searches and for tasks tried alone. */
export const MOST_SEARCHING = 6;
export const MOST_ALONE = 4;
/** The longest trial, and how long a death is remembered for a search. */
const HOUR = 3_600_000;
/** Two deaths of workers with a task in common, so close together, begin a search. */
const DEATHS_TOGETHER = 600_000;
/** So many kills, each of a task that was begun again after the one before, make it suspected as a death without a trace does. */
const MANY_KILLS = 3;
/** Kills so close together are one. Milliseconds. */
const AT_ONCE = 1000;

/**
 * Finds the tasks that make workers die. Pure: it is told of deaths and of time, and says what to do.
 *
 * A task that was blamed is tried alone in a worker of its own; when it makes that one die too, `after` times, it goes into
 * quarantine, from where it is tried again alone after a wait that doubles. When workers die again and again and nothing
 * says which task did it, their tasks are split into groups with a worker each, and the group whose worker dies is split
 * again, so that every culprit is found after about log4(tasks) deaths while the others run on.
 *
 * A kill from outside is no task's doing, but a product that has another process kill its own, and the kernel when memory
 * runs out, look the same. So kills count only for tasks that are killed again and again, and little: such tasks are
 * searched and tried alone, where one harms no other; and a worker killed meanwhile that ran none of them acquits them.
 */
export class Suspects {
  readonly #settings: QuarantineSettings;
  readonly #trialLength: number;
  readonly #records = new Map<string, TaskRecord>();
  readonly #trials = new Map<string, Trial>();
  #deaths: { readonly at: number; readonly tasks: ReadonlySet<string> }[] = [];
  /** Kills in a row of each task's workers, and the last of them. */
  readonly #kills = new Map<string, { readonly count: number; readonly at: number }>();
  #trialNumber = 0;
  /** Until when no search begins, because the last one found nothing. */
  #noSearchUntil = 0;
  #fruitless = 0;

  /** @param trialLength how long a task must run without harm to be cleared. Milliseconds. */
  constructor(settings: QuarantineSettings, trialLength: number) {
    this.#settings = settings;
    this.#trialLength = trialLength;
  }

  /** The trial that a task is in or waits for. */
  trialOf(task: string): Trial | undefined {
    return this.#trials.get(task);
  }

  /** All trials, in the order in which they were asked for. */
  trials(): readonly Trial[] {
    return [...new Set(this.#trials.values())].toSorted((a, b) => a.number - b.number);
  }

  /** Until when a task is in quarantine. */
  quarantinedUntil(task: string): number | undefined {
    return this.#records.get(task)?.until;
  }

  death(death: Death): readonly Verdict[] {
    const { trial, blamed, killed } = death;
    const oftenKilled = killed === undefined ? [] : this.#oftenKilled(killed, death);
    if (killed !== undefined && oftenKilled.length === 0) {
      if (trial !== undefined) trial.until = undefined;
      return [];
    }
    const alone = trial !== undefined && trial.tasks.size === 1 ? [...trial.tasks][0] : undefined;
    if (alone !== undefined) return this.#diedAlone(alone, death);
    if (blamed !== undefined) return this.#blame(blamed, trial);
    if (trial !== undefined) return this.#split([...trial.tasks], death.at, trial.length, trial.search);
    return killed === undefined ? this.#unexplained(death) : this.#search(oftenKilled, death);
  }

  /** Ends the trials whose time is over. Returns the tasks that were cleared. */
  clear(now: number): readonly string[] {
    const cleared: string[] = [];
    for (const trial of this.trials()) {
      if (trial.until === undefined || now < trial.until) continue;
      for (const task of trial.tasks) {
        const record = this.#record(task);
        record.passed++;
        record.deathsAlone = 0;
        record.killedAlone = 0;
        this.#kills.delete(task);
        if (trial.tasks.size === 1) record.quarantines = 0;
        this.#trials.delete(task);
        cleared.push(task);
      }
      this.#close(trial, now);
    }
    return cleared;
  }

  /** Ends the quarantines whose time is over: their tasks are tried alone. Returns those tasks. */
  release(now: number): readonly string[] {
    const released: string[] = [];
    for (const [task, record] of this.#records) {
      if (record.until === undefined || now < record.until) continue;
      record.until = undefined;
      this.#tryAlone(task);
      released.push(task);
    }
    return released;
  }

  /** Forgets a task that was removed, was changed, or is to get a new chance, and takes it out of its trial. */
  forget(task: string): void {
    this.#records.delete(task);
    this.#kills.delete(task);
    this.leave(task);
  }

  /** Takes a task that has ended by itself out of its trial. */
  leave(task: string): void {
    const trial = this.#trials.get(task);
    if (trial === undefined) return;
    this.#trials.delete(task);
    trial.tasks.delete(task);
    if (trial.tasks.size === 0 && trial.search !== undefined) trial.search.open--;
  }

  #diedAlone(task: string, { at, killed }: Death): readonly Verdict[] {
    const record = this.#record(task);
    const trial = this.#trials.get(task);
    if (trial?.search !== undefined) {
      trial.search.found++;
      trial.search.open--;
    }
    if (killed === undefined) record.deathsAlone++;
    else record.killedAlone++;
    this.#trials.delete(task);
    if (record.deathsAlone + record.killedAlone / MANY_KILLS < this.#settings.after) {
      this.#tryAlone(task);
      return [{ task, verdict: "trial" }];
    }
    // The next one is enough.
    record.deathsAlone = this.#settings.after - 1;
    record.killedAlone = killed === undefined ? 0 : MANY_KILLS - 1;
    record.until = at + Math.min(this.#settings.max, this.#settings.min * 2 ** Math.min(record.quarantines, 40));
    record.quarantines++;
    return [{ task, verdict: "quarantine", until: record.until }];
  }

  #blame(task: string, trial: Trial | undefined): readonly Verdict[] {
    if (trial !== undefined) {
      if (trial.search !== undefined) trial.search.found++;
      trial.tasks.delete(task);
      trial.until = undefined;
    }
    this.#tryAlone(task);
    return [{ task, verdict: "trial" }];
  }

  #unexplained(death: Death): readonly Verdict[] {
    const together = Math.max(DEATHS_TOGETHER, 3 * death.age);
    this.#deaths = this.#deaths.filter((earlier) => death.at - earlier.at < Math.max(together, HOUR));
    const again = this.#deaths.some((earlier) => death.at - earlier.at < together && death.tasks.some((task) => earlier.tasks.has(task)));
    this.#deaths.push({ at: death.at, tasks: new Set(death.tasks) });
    return again || death.memory ? this.#search(death.tasks, death) : [];
  }

  /** Takes in a kill. Returns the tasks that were killed again and again, each time after they had been begun anew. */
  #oftenKilled(begun: ReadonlyMap<string, number>, { at, trial }: Death): readonly string[] {
    for (const [task, last] of this.#kills) if (at - last.at > DEATHS_TOGETHER) this.#kills.delete(task);
    for (const [task, since] of begun) {
      const last = this.#kills.get(task);
      // Several workers killed at once are one kill of a task that ran in all of them, or was just being brought to another.
      const anew = last === undefined || (since >= last.at && at - last.at >= AT_ONCE);
      if (anew) this.#kills.set(task, { count: (last?.count ?? 0) + 1, at });
    }
    // Somebody kills workers that run no suspect: what was killed alone until now proves nothing.
    if (trial === undefined) for (const [task, record] of this.#records) if (!begun.has(task)) record.killedAlone = 0;
    return [...begun.keys()].filter((task) => (this.#kills.get(task)?.count ?? 0) >= MANY_KILLS);
  }

  #search(tasks: readonly string[], { at, age }: Death): readonly Verdict[] {
    // One search after the other: they would take each other's workers.
    if (this.#searching() > MOST_SEARCHING - SPLIT || at < this.#noSearchUntil) return [];
    const suspects = tasks.filter((task) => !this.#trials.has(task));
    return this.#split(suspects, at, Math.min(HOUR, Math.max(this.#trialLength / 4, 2 * age)), undefined);
  }

  #split(tasks: readonly string[], at: number, length: number, earlier: Search | undefined): readonly Verdict[] {
    const search = earlier ?? { found: 0, open: 0, hurried: false };
    if (earlier !== undefined) search.open--;
    const groups = Math.min(SPLIT, tasks.length);
    for (let group = 0; group < groups; group++) {
      const members = new Set(tasks.filter((_, index) => index % groups === group));
      const trial: Trial = { number: this.#trialNumber++, tasks: members, length, until: undefined, search };
      for (const task of members) this.#trials.set(task, trial);
    }
    search.open += groups;
    this.#makeRoom(at);
    return tasks.map((task) => ({ task, verdict: "trial" }));
  }

  /** When a search has more groups than there are workers for them, its largest groups that do no harm are cleared early. */
  #makeRoom(at: number): void {
    const trials = this.trials().filter(({ search }) => search !== undefined);
    const running = trials.filter(({ until }) => until !== undefined);
    const early = running.toSorted((a, b) => b.tasks.size - a.tasks.size);
    for (const trial of early.slice(0, Math.max(0, trials.length - MOST_SEARCHING))) {
      trial.until = at;
      if (trial.search !== undefined) trial.search.hurried = true;
    }
  }

  /** Groups that searches have now. */
  #searching(): number {
    return this.trials().filter(({ search }) => search !== undefined).length;
  }

  #tryAlone(task: string): void {
    const length = Math.min(HOUR, this.#trialLength * 2 ** this.#record(task).passed);
    this.#trials.set(task, { number: this.#trialNumber++, tasks: new Set([task]), length, until: undefined, search: undefined });
  }

  #close(trial: Trial, now: number): void {
    const { search } = trial;
    if (search === undefined) return;
    search.open--;
    if (search.open > 0) return;
    const fruitless = search.found === 0 && !search.hurried;
    this.#fruitless = fruitless ? this.#fruitless + 1 : 0;
    if (fruitless) this.#noSearchUntil = now + HOUR * 2 ** Math.min(this.#fruitless - 1, 10);
  }

  #record(task: string): TaskRecord {
    const known = this.#records.get(task);
    if (known !== undefined) return known;
    const record: TaskRecord = { deathsAlone: 0, killedAlone: 0, quarantines: 0, passed: 0, until: undefined };
    this.#records.set(task, record);
    return record;
  }
}
