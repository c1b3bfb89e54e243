import type { Logger } from "../contracts.ts";
import type { Fleet } from "./fleet.ts";
import { addTotals, noTotals, taskTotals, telling, type Totals } from "./model.ts";

/** How often progress is told. Milliseconds. */
const EVERY = 5000;

/** Tells on the logs how far the work is: now and then while there is something new, and at the end for each task. */
export class Progress {
  readonly #fleet: Fleet;
  readonly #logger: Logger;
  readonly #began = performance.now();
  #toldAt = performance.now();
  #told = noTotals();

  constructor(fleet: Fleet, logger: Logger) {
    this.#fleet = fleet;
    this.#logger = logger;
  }

  /** To be called often. */
  tell(): void {
    const now = performance.now();
    if (now - this.#toldAt < EVERY) return;
    const totals = noTotals();
    let tasks = 0;
    let ended = 0;
    for (const task of this.#fleet.tasks) {
      addTotals(totals, taskTotals(task));
      tasks++;
      const state = telling(task)?.state;
      if (state === "finished" || state === "failed" || state === "paused" || state === "stopped") ended++;
    }
    const perSecond = Math.round(((totals.in - this.#told.in) * 1000) / (now - this.#toldAt));
    const news = totals.in !== this.#told.in || totals.out !== this.#told.out;
    this.#told = totals;
    this.#toldAt = now;
    if (news) this.#logger.info({ tasks, ended, perSecond, ...counts(totals) }, `${sentence(totals)}, ${grouped(perSecond)} events/s`);
  }

  summarize(): void {
    const seconds = Math.round((performance.now() - this.#began) / 100) / 10;
    for (const task of this.#fleet.tasks) {
      const totals = taskTotals(task);
      const shown = telling(task);
      const reason = shown?.reason === undefined || shown.state === "stopped" ? "" : `: ${shown.reason}`;
      const fields = { task: task.id, state: shown?.state, seconds, ...counts(totals) };
      this.#logger.info(fields, `${task.id} ${shown?.state ?? "stopped"} after ${seconds} s: ${sentence(totals)}${reason}`);
    }
  }
}

function counts(totals: Totals) {
  const { in: read, out, filtered, deduplicated, late, failed, deadLettered, skipped } = totals;
  return { in: read, out, filtered, deduplicated, late, failed, deadLettered, skipped };
}

function sentence(totals: Totals): string {
  const parts = [`${grouped(totals.in)} events in`, `${grouped(totals.out)} out`];
  for (const name of ["filtered", "deduplicated", "late", "skipped", "failed"] as const)
    if (totals[name] > 0) parts.push(`${grouped(totals[name])} ${name}`);
  if (totals.deadLettered > 0) parts.push(`${grouped(totals.deadLettered)} dead letters`);
  return parts.join(", ");
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}
