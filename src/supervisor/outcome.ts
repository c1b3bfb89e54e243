import type { Fleet } from "./fleet.ts";
import { needsOperator, type Task } from "./model.ts";

/** How a run until all is done has come out. */
export interface Outcome {
  readonly what: string;
  readonly failed: boolean;
}

/**
 * Whether every task with a finite input has come to its end: finished, or failed for good. A task in quarantine counts as
 * failed; one that waits for something does not count as ended.
 * @returns undefined while something is still to be waited for
 */
export function outcomeOf(fleet: Fleet): Outcome | undefined {
  let finite = 0;
  let failed = 0;
  for (const task of fleet.tasks) {
    const state = endOf(task);
    if (state === "open") return undefined;
    if (state === "failed") failed++;
    if (state !== "endless") finite++;
  }
  const invalid = fleet.views().filter(({ state }) => state === "invalid").length;
  if (finite === 0 && invalid === 0) return { what: "no task has a finite input, so there is nothing to wait for", failed: true };
  const broken = failed + invalid;
  if (broken === 0) return { what: "every task with a finite input has finished", failed: false };
  return { what: `every task with a finite input has ended, ${broken} of them failed or invalid`, failed: true };
}

function endOf(task: Task): "open" | "finished" | "failed" | "endless" {
  if (task.next !== undefined) return "open";
  const { instances } = task;
  if (!task.definition.enabled) return "endless";
  if (instances.some(({ state }) => needsOperator(state))) {
    return instances.some(({ run }) => run !== undefined) ? "open" : "failed";
  }
  if (instances.some(({ finite }) => finite === false)) return "endless";
  return instances.every(({ state }) => state === "finished") ? "finished" : "open";
}
