import type { NotReady } from "../observability/admin.ts";
import type { Figures, TaskFigures } from "../observability/metrics.ts";
import type { TaskSet } from "../tasks/task.ts";
import type { Fleet } from "./fleet.ts";
import { type Task, taskTotals, telling } from "./model.ts";

/** The fleet's numbers, for metrics. */
export function fleetFigures(fleet: Fleet): Figures {
  return {
    tasks: () => [...fleet.tasks].map(taskFigures),
    models: () => fleet.modelFigures(),
    workers: () =>
      [...fleet.workers].filter(({ pid }) => pid !== undefined).map(({ number, rss, loopLag }) => ({ worker: number, rss, loopLag })),
    workerRestarts: () => fleet.workerRestarts,
  };
}

function taskFigures(task: Task): TaskFigures {
  const { latency, ...totals } = taskTotals(task);
  const { instances } = task;
  const lags = instances.map(({ stats }) => stats?.lag).filter((lag) => lag !== undefined);
  return {
    task: task.id,
    product: task.definition.product,
    state: telling(task)?.state ?? "stopped",
    ...totals,
    inFlight: instances.reduce((sum, { stats }) => sum + (stats?.inFlight ?? 0), 0),
    lag: lags.length === 0 ? undefined : lags.reduce((sum, lag) => sum + lag, 0),
    restarts: task.restarts + instances.reduce((sum, { restarts }) => sum + restarts, 0),
    latency,
  };
}

/**
 * What keeps the program from being ready: a task store that was never read, a regular worker that does not run, a task that
 * is being checked, starting or backing off. A task that failed, is in quarantine or is invalid does not: the others must not wait for it.
 */
export function notReady(fleet: Fleet, { awayStores, pending }: TaskSet): readonly NotReady[] {
  const found: NotReady[] = awayStores
    .filter(({ known }) => !known)
    .map(({ store, reason }) => ({ what: `task store ${store}`, why: reason }));
  for (const id of pending) found.push({ what: `task ${id}`, why: "it is being checked: its pipeline takes long to build" });
  const ready = new Set<number>();
  for (const worker of fleet.workers) if (worker.trial === undefined && worker.phase === "ready") ready.add(worker.number);
  for (let number = 1; number <= fleet.size; number++) {
    if (!ready.has(number)) found.push({ what: `worker ${number}`, why: "it is starting" });
  }
  for (const { id, state, reason } of fleet.views()) {
    if (state === "starting" || state === "backing-off") found.push({ what: `task ${id}`, why: reason ?? state });
  }
  return found;
}
