import { messageOf, PlanError } from "../../errors.ts";
import type { ModuleContext, ModuleFunction } from "../../model.ts";
import { placedFunction } from "./function-place.ts";

/** Options of `moduleFunction`. */
export interface ModuleFunctionOptions {
  /** The name that the module exports it by; default "default". */
  readonly export?: string | undefined;
  /** Plain data that it finds in its context. */
  readonly settings?: unknown;
  /** Threads or processes of it in each worker process; default: as many as there are cores, and at most the step's `maxInFlight`. */
  readonly parallel?: number | undefined;
}

/** Whatever a module may export to be called with each value. */
type AnyFunction = (value: never, context: ModuleContext) => unknown;

/**
 * A function of a module, for a `mapAsync` that runs it on threads or in processes: a function itself can't leave the thread that it was
 * made in. What it is given and returns is plain data. A thread or process that ends or hangs is replaced, and what it had in
 * flight is given to another.
 * @param url `import.meta.resolve("./score.ts")`
 * @example
 * import type { score } from "./score.ts";
 * stream.mapAsync(moduleFunction<typeof score>(import.meta.resolve("./score.ts"), { export: "score" }), { concurrency: "thread" })
 * @throws {PlanError} when an option can't be right
 */
export function moduleFunction<F extends AnyFunction = (value: unknown) => unknown>(
  url: string,
  options: ModuleFunctionOptions = {},
): ModuleFunction<Parameters<F>[0], Awaited<ReturnType<F>>> {
  const { export: exported = "default", settings, parallel } = options;
  const where = `moduleFunction "${exported}"`;
  if (!URL.canParse(url) || !url.startsWith("file:")) {
    throw new PlanError(`${where}: give the URL of its file, as import.meta.resolve("./file.ts") does (got ${JSON.stringify(url)})`);
  }
  if (parallel !== undefined && (!Number.isInteger(parallel) || parallel < 1))
    throw new PlanError(`${where}: parallel must be a whole number, 1 or more (got ${parallel})`);
  try {
    structuredClone(settings);
  } catch (error) {
    throw new PlanError(`${where}: settings must be plain data, which can go to a thread or process: ${messageOf(error)}`);
  }
  return {
    module: url,
    exported,
    place: (concurrency, maxInFlight) => placedFunction({ url, exported, settings, parallel }, concurrency, maxInFlight),
  };
}
