import { ConfigError } from "../../errors.ts";
import type { AnyModel, Model, ModelRunner, RunnerContext, SpecOf } from "../../model.ts";
import { checkModule, modelFile } from "../load-module.ts";
import { typed } from "../place.ts";
import { loadInWorker } from "../worker.ts";
import { Dispatcher } from "./dispatcher.ts";
import { laneRunner } from "./lane-runner.ts";
import type { CheckedLaneOptions, LaneOptions } from "./place-options.ts";
import { checkedLaneOptions, lanesFor, wholeNumber } from "./place-options.ts";
import { processProgram } from "./process-program.ts";

/** Options of `processes`. */
export interface ProcessesOptions extends LaneOptions {
  /** Child processes of each worker process; 0: the model runs in the worker itself. Default: the setting parallelWorkers. */
  readonly processes?: number | undefined;
  /** Models that name the same pool share its processes: each of them loads all these models. Default: the model has processes of its own. */
  readonly pool?: string | undefined;
  /** The most memory that each process may use in all (RSS), in MiB; above it, it is replaced. Default: no limit. */
  readonly memoryLimitMb?: number | undefined;
}

/**
 * A model in child processes: for native code, and for what must be killable or bounded in memory. A process that ends or hangs is replaced,
 * and what it had in flight is given to another.
 * @param url `import.meta.resolve("./model.ts")`
 * @example
 * import type model from "./model.ts";
 * stream.infer(processes<typeof model>(import.meta.resolve("./model.ts"), { processes: 2, memoryLimitMb: 512 }))
 * @throws {PlanError} when an option is out of its range
 */
export function processes<M extends AnyModel = Model>(url: string, options: ProcessesOptions = {}): SpecOf<M> {
  const checked = checkedProcessOptions("processes", options);
  return typed<M>({
    kind: "processes",
    description: { model: url, processes: options.processes, pool: options.pool },
    key: JSON.stringify([url, options]),
    files: [modelFile("processes", url)],
    check: () => checkModule(url),
    load: (context) => loadInProcesses(url, options, checked, context),
  });
}

/**
 * @param place for errors
 * @throws {PlanError} when an option is out of its range
 */
export function checkedProcessOptions(place: string, options: ProcessesOptions): CheckedLaneOptions {
  wholeNumber(place, "processes", options.processes, 0);
  wholeNumber(place, "memoryLimitMb", options.memoryLimitMb, 1);
  return checkedLaneOptions(place, options);
}

/** What `processes` does, also for other places whose models run in a module of Millrace's own. */
export async function loadInProcesses(
  url: string,
  options: ProcessesOptions,
  checked: CheckedLaneOptions,
  context: RunnerContext,
): Promise<ModelRunner> {
  const { settings, pool, memoryLimitMb } = options;
  const lanes = lanesFor(options.processes, context);
  if (lanes === 0) return await loadInWorker(url, settings, context);
  const open = () => {
    const { clock, logger, random } = context;
    return new Dispatcher({ program: processProgram(memoryLimitMb), lanes, clock, logger, random, ...checked });
  };
  if (pool === undefined) {
    const dispatcher = open();
    return await laneRunner(dispatcher, { url, settings }, context, dispatcher);
  }
  const shape = JSON.stringify({ processes: lanes, memoryLimitMb, ...checked });
  const lease = await context.shared.lease(`processes for models, pool ${pool}`, () => Promise.resolve(new Pool(shape, open())));
  if (lease.resource.shape !== shape) {
    await lease[Symbol.asyncDispose]();
    const what = `pool "${pool}" is in use with other options: ${lease.resource.shape}; give it the same everywhere (here: ${shape})`;
    throw new ConfigError([{ where: url, what }]);
  }
  return await laneRunner(lease.resource.dispatcher, { url, settings }, context, lease);
}

/** Processes that several models share. */
class Pool implements AsyncDisposable {
  /** What it was opened with, to be compared. */
  readonly shape: string;
  readonly dispatcher: Dispatcher;

  constructor(shape: string, dispatcher: Dispatcher) {
    this.shape = shape;
    this.dispatcher = dispatcher;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispatcher[Symbol.asyncDispose]();
  }
}
