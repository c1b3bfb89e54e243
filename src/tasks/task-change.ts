import { isDeepStrictEqual } from "node:util";

import type { TaskChange, TaskDefinition, TaskSet } from "./task.ts";

/** How a set differs from one before it. Where a task is written, and its warnings, make no difference. */
export function difference(before: TaskSet, after: TaskSet): TaskChange {
  const added: TaskDefinition[] = [];
  const changed: TaskDefinition[] = [];
  for (const task of after.valid.values()) {
    const old = before.valid.get(task.id);
    if (old === undefined) added.push(task);
    else if (!sameTask(old, task)) changed.push(task);
  }
  const removed = [...before.valid.values()].filter((task) => !after.valid.has(task.id));
  return { added, changed, removed, set: after };
}

function sameTask(a: TaskDefinition, b: TaskDefinition): boolean {
  return isDeepStrictEqual(effect(a), effect(b));
}

function effect({ product, folder, code, instances, enabled, config }: TaskDefinition): object {
  return { product, folder, code, instances, enabled, config };
}

/** Whether nothing at all is different. */
export function isSame(before: TaskSet, after: TaskSet): boolean {
  return isDeepStrictEqual(before, after);
}
