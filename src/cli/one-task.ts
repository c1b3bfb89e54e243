/** What the commands share that work on one task in this process. */
import { systemClock } from "../clock.ts";
import type { LoadedSettings, Settings } from "../config/settings.ts";
import type { OpenContext } from "../contracts.ts";
import { DataError, MillraceError, PlannedStop, UsageError } from "../errors.ts";
import { type Logs, openLogs } from "../observability/logs.ts";
import { redact } from "../secrets.ts";
import { openSharedResources } from "../shared-resources.ts";
import { faultOf } from "../tasks/product-faults.ts";
import type { TaskDefinition } from "../tasks/task.ts";
import type { Surroundings } from "./surroundings.ts";
import { taskFromFlag } from "./task-flag.ts";
import { findTask, readTasks } from "./tasks.ts";

/**
 * The task of an id, or of `--task`.
 * @throws {UsageError} when neither or both are given
 */
export async function chosenTask(
  id: string | undefined,
  flag: string | undefined,
  settings: Settings,
  cwd: string,
): Promise<TaskDefinition> {
  if (flag !== undefined) {
    if (id !== undefined) throw new UsageError("give the id of a task or --task, not both");
    return await taskFromFlag(flag, settings, cwd);
  }
  if (id === undefined) throw new UsageError("which task? Give its id, or the task itself with --task");
  return findTask(await readTasks(settings), id);
}

/** Logs of one task, on standard error. */
export function logsOf({ settings, secrets }: LoadedSettings, task: TaskDefinition): Logs {
  const format = settings.log.format === "json" ? "json" : "pretty";
  return openLogs({ level: settings.log.level, format, secrets: [...secrets, ...task.secrets], fd: 2 }, { task: task.id });
}

/** What the only instance of a task is opened with. */
export function contextOf(
  task: TaskDefinition,
  settings: Settings,
  { logs, signal, mode }: { readonly logs: Logs; readonly signal: AbortSignal; readonly mode: OpenContext["mode"] },
): OpenContext {
  return {
    task: { id: task.id, product: task.product, instance: 0, instances: 1 },
    connections: { kafka: settings.kafka, nats: settings.nats, redis: settings.redis },
    directory: settings.directory,
    shared: openSharedResources(),
    logger: logs.logger,
    clock: systemClock,
    signal,
    mode,
    // Under a debugger a model is best where its breakpoints are: in this process.
    modelSettings: mode === "debug" ? { ...settings.models, parallelWorkers: 0 } : settings.models,
    hide: (text) => redact(text, task.secrets),
    // Whoever calls this has logged the reason, and here nobody else asks for it.
    waiting: () => undefined,
  };
}

/** The first SIGINT or SIGTERM stops as planned, the second one ends the process. */
export function stopOnSignals(stop: AbortController, { err }: Surroundings): () => void {
  const numbers = { SIGINT: 2, SIGTERM: 15 } as const;
  const listen = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(128 + numbers[signal as keyof typeof numbers]);
    err(`millrace: ${signal}: finishing what was read; once more to end at once\n`);
    stop.abort(new PlannedStop(`${signal} was received`));
  };
  for (const signal of Object.keys(numbers) as NodeJS.Signals[]) process.on(signal, listen);
  return () => {
    for (const signal of Object.keys(numbers) as NodeJS.Signals[]) process.off(signal, listen);
  };
}

/** An error in the product's code, with the line there that it comes from. */
export function explained(error: unknown, task: TaskDefinition): unknown {
  const thrown = error instanceof DataError ? error.cause : error;
  const { where, what } = faultOf(thrown, undefined, task.folder);
  const isOfProduct = where !== task.folder;
  if (error instanceof DataError) return isOfProduct ? new MillraceError(`${error.message}\n  at ${where}`, { cause: error }) : error;
  if (error instanceof MillraceError || !isOfProduct) return error;
  return new MillraceError(`product "${task.product}": ${what}\n  at ${where}`, { cause: error });
}
