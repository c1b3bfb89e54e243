import type { AnyModel, Model, ModelRunner, RunnerContext, SpecOf } from "../../model.ts";
import { checkModule, modelFile } from "../load-module.ts";
import { typed } from "../place.ts";
import { loadInWorker } from "../worker.ts";
import { Dispatcher } from "./dispatcher.ts";
import { laneRunner } from "./lane-runner.ts";
import type { CheckedLaneOptions, LaneOptions } from "./place-options.ts";
import { checkedLaneOptions, lanesFor, wholeNumber } from "./place-options.ts";
import { leaseThreadPool } from "./thread-pool.ts";
import { threadProgram } from "./thread-program.ts";

/** Options of `threads`. */
export interface ThreadsOptions extends LaneOptions {
  /**
   * Threads of this model in each worker process; 0: it runs in the worker itself. Default: the setting parallelWorkers. While a new version
   * of it is loaded it has as many again, for which the setting maxThreads must have room.
   */
  readonly threads?: number | undefined;
  /** The most memory of each thread's JavaScript heap, in MiB; default Node's. Buffers and typed arrays are not part of it: see `processes`. */
  readonly memoryLimitMb?: number | undefined;
}

/**
 * A model on threads of its own: for JavaScript and WebAssembly that computes for a millisecond or more. A thread that ends, throws or
 * hangs is replaced, and what it had in flight is given to another. Not for native code, which may not survive the end of its thread.
 * @param url `import.meta.resolve("./model.ts")`
 * @example
 * import type model from "./model.ts";
 * stream.infer(threads<typeof model>(import.meta.resolve("./model.ts"), { threads: 2 }))
 * @throws {PlanError} when an option is out of its range
 */
export function threads<M extends AnyModel = Model>(url: string, options: ThreadsOptions = {}): SpecOf<M> {
  const checked = checkedLaneOptions("threads", options);
  wholeNumber("threads", "threads", options.threads, 0);
  wholeNumber("threads", "memoryLimitMb", options.memoryLimitMb, 1);
  return typed<M>({
    kind: "threads",
    description: { model: url, threads: options.threads },
    key: JSON.stringify([url, options]),
    files: [modelFile("threads", url)],
    check: () => checkModule(url),
    load: (context) => loadOnThreads(url, options, checked, context),
  });
}

async function loadOnThreads(
  url: string,
  { threads: wanted, memoryLimitMb, settings }: ThreadsOptions,
  options: CheckedLaneOptions,
  context: RunnerContext,
): Promise<ModelRunner> {
  const lanes = lanesFor(wanted, context);
  if (lanes === 0) return await loadInWorker(url, settings, context);
  await using resources = new AsyncDisposableStack();
  const pool = resources.use(await leaseThreadPool(context.shared, context.settings.maxThreads));
  const { clock, logger, random } = context;
  const program = threadProgram(pool.resource, memoryLimitMb);
  const dispatcher = resources.use(new Dispatcher({ program, lanes, clock, logger, random, ...options }));
  return await laneRunner(dispatcher, { url, settings }, context, resources.move());
}
