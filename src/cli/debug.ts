import { statSync, truncateSync } from "node:fs";
import { resolve } from "node:path";

import { systemClock } from "../clock.ts";
import type { LoadedSettings, Settings } from "../config/settings.ts";
import type { LetterBox, OpenContext, Sink, SinkSpec, Source } from "../contracts.ts";
import { DataError, MillraceError, messageOf, PlannedStop, UsageError } from "../errors.ts";
import { type Logs, openLogs } from "../observability/logs.ts";
import { createInstance, type InstanceOptions } from "../pipeline/instance.ts";
import type { Plan } from "../pipeline/plan.ts";
import { redact } from "../secrets.ts";
import { openSharedResources } from "../shared-resources.ts";
import { fileSink } from "../sinks/file.ts";
import { faultOf } from "../tasks/product-faults.ts";
import type { TaskDefinition } from "../tasks/task.ts";
import { EXIT } from "./exit-codes.ts";
import { openInput } from "./input-source.ts";
import { LimitedSource } from "./limited-source.ts";
import type { DebugFlags } from "./program.ts";
import { settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";
import { taskFromFlag } from "./task-flag.ts";
import { findTask, planOf, readTasks } from "./tasks.ts";

/** `millrace debug`: runs one task's pipeline in this process and thread. */
export async function debug(id: string | undefined, flags: DebugFlags, surroundings: Surroundings): Promise<number> {
  const loaded = settingsOf(flags, surroundings);
  const task = await chosenTask(id, flags, loaded.settings, surroundings.cwd);
  surroundings.hide(task.secrets);
  const logs = logsOf(loaded, task);
  const stop = new AbortController();
  const abandon = new AbortController();
  const plan = await planOf(task, logs.logger, abandon.signal);
  const context = contextOf(task, loaded.settings, logs, abandon.signal);
  const instance = createInstance(plan, context, replacements(plan, flags, surroundings.cwd));
  const deafen = stopOnSignals(stop, surroundings);
  try {
    const end = await instance.run(stop.signal);
    const { in: read, out, filtered, late, failed, deadLettered, skipped } = instance.counters;
    const left = `failed ${failed}, dead letters ${deadLettered}, skipped ${skipped}`;
    surroundings.err(`${task.id}: ${end}; in ${read}, out ${out}, filtered ${filtered}, late ${late}, ${left}\n`);
    return EXIT.done;
  } catch (error) {
    throw explained(error, task);
  } finally {
    deafen();
    abandon.abort(new PlannedStop("the task has ended"));
  }
}

async function chosenTask(id: string | undefined, flags: DebugFlags, settings: Settings, cwd: string): Promise<TaskDefinition> {
  if (flags.task !== undefined) {
    if (id !== undefined) throw new UsageError("give the id of a task or --task, not both");
    return await taskFromFlag(flags.task, settings, cwd);
  }
  if (id === undefined) throw new UsageError("which task? Give its id, or the task itself with --task");
  return findTask(await readTasks(settings), id);
}

function logsOf({ settings, secrets }: LoadedSettings, task: TaskDefinition): Logs {
  const format = settings.log.format === "json" ? "json" : "pretty";
  return openLogs({ level: settings.log.level, format, secrets: [...secrets, ...task.secrets], fd: 2 }, { task: task.id });
}

function contextOf(task: TaskDefinition, settings: Settings, logs: Logs, signal: AbortSignal): OpenContext {
  return {
    task: { id: task.id, product: task.product, instance: 0, instances: 1 },
    connections: { kafka: settings.kafka, nats: settings.nats, redis: settings.redis },
    directory: settings.directory,
    shared: openSharedResources(),
    logger: logs.logger,
    clock: systemClock,
    signal,
    mode: "debug",
    hide: (text) => redact(text, task.secrets),
    // Whoever calls this has logged the reason, and here nobody else asks for it.
    waiting: () => undefined,
  };
}

/** Opens files in the place of the plan's source and sinks, where the flags say so. */
function replacements(plan: Plan, { input, format, output, limit }: DebugFlags, cwd: string): InstanceOptions {
  if (output !== undefined && output !== "-") empty(resolve(cwd, output));
  const file = output === undefined ? undefined : fileSink({ path: output });
  return {
    openSource: async (source, context, options): Promise<Source> => {
      const opened =
        input === undefined ? await source.open(context, options) : await openInput(source, input, format, { ...context, directory: cwd });
      return limit === undefined ? opened : new LimitedSource(opened, limit);
    },
    openSink: async (spec, context): Promise<Sink> => {
      if (file === undefined) return await spec.open(context);
      // All sinks get the same events: one file has them all. What is late is counted, and must not reach the real sink.
      return spec === plan.sinks[0] ? await file.open({ ...context, directory: cwd }) : nowhere(spec, context);
    },
    ...(file === undefined ? {} : { openLetters: async (spec, context) => nowhereForLetters(spec, context) }),
  };
}

/** A debugger's output holds one run. Devices and pipes are left as they are. */
function empty(path: string): void {
  try {
    if (statSync(path).isFile()) truncateSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw new MillraceError(`the output ${path} can't be written: ${messageOf(error)}`, { cause: error });
  }
}

function nowhere(spec: SinkSpec, { logger }: OpenContext): Sink {
  return {
    write: (events) => {
      logger.debug({ sink: spec.kind, events: events.length }, "not written: --output is in the place of this sink");
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function nowhereForLetters(spec: SinkSpec, { logger }: OpenContext): LetterBox {
  return {
    write: (letters) => {
      for (const { step, error, message } of letters) {
        logger.warn({ step, error, box: spec.kind }, `a dead letter, not kept: --output is in the place of the box: ${message}`);
      }
      return Promise.resolve();
    },
    async *read() {},
    resolve: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** The first SIGINT or SIGTERM stops as planned, the second one ends the process. */
function stopOnSignals(stop: AbortController, { err }: Surroundings): () => void {
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
function explained(error: unknown, task: TaskDefinition): unknown {
  const thrown = error instanceof DataError ? error.cause : error;
  const { where, what } = faultOf(thrown, undefined, task.folder);
  const isOfProduct = where !== task.folder;
  if (error instanceof DataError) return isOfProduct ? new MillraceError(`${error.message}\n  at ${where}`, { cause: error }) : error;
  if (error instanceof MillraceError || !isOfProduct) return error;
  return new MillraceError(`product "${task.product}": ${what}\n  at ${where}`, { cause: error });
}
