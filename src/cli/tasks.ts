/** What the commands that look at tasks share. */
import type { Settings } from "../config/settings.ts";
import { type Logger, SILENT } from "../contracts.ts";
import { ConfigError, PlannedStop, UsageError } from "../errors.ts";
import { didYouMean } from "../near-miss.ts";
import type { Plan } from "../pipeline/plan.ts";
import { openTaskManager } from "../tasks/manager.ts";
import { buildPlan, loadProduct } from "../tasks/products.ts";
import type { TaskDefinition, TaskSet } from "../tasks/task.ts";

/** What products and tasks there are now. */
export async function readTasks(settings: Settings): Promise<TaskSet> {
  const stop = new AbortController();
  await using manager = await openTaskManager(settings, { logger: SILENT, signal: stop.signal });
  const set = manager.current();
  stop.abort(new PlannedStop("the tasks are read"));
  return set;
}

/**
 * The task of that id.
 * @throws {ConfigError} when it is invalid
 * @throws {UsageError} when there is none
 */
export function findTask(set: TaskSet, id: string): TaskDefinition {
  const found = set.valid.get(id);
  if (found !== undefined) return found;
  const invalid = set.invalid.filter((task) => task.id === id);
  if (invalid.length > 0) throw new ConfigError(invalid.map(({ where, reason }) => ({ where, what: reason })));
  const ids = [...set.valid.keys(), ...set.invalid.map((task) => task.id)];
  const away = set.awayStores.map(({ store, reason }) => `\n  ${store} could not be read: ${reason}`).join("");
  throw new UsageError(`there is no task "${id}".${didYouMean(id, ids)} \`millrace list\` shows all${away}`);
}

/**
 * Builds the plan of a task's first instance, in this process.
 * @throws {ConfigError} or {PlanError} when the product or the task's config is at fault
 */
export async function planOf(task: TaskDefinition, logger: Logger, signal: AbortSignal): Promise<Plan> {
  const product = await loadProduct(task.folder);
  const identity = { id: task.id, product: task.product, instance: 0, instances: 1 };
  return buildPlan(product, task, { task: identity, logger, signal });
}
