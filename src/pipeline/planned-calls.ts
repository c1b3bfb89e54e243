import { PlanError } from "../errors.ts";
import type { Concurrency, ModuleFunction, PlannedModel } from "../model.ts";
import type { CallOptions } from "./call.ts";
import { callPolicy } from "./call.ts";
import { callableOf } from "./given.ts";
import { batchingOf } from "./infer.ts";
import { mapAsyncStep, mapModuleStep } from "./map-async.ts";
import type { PlannedStep } from "./plan.ts";
import { describeCalls } from "./planned-inference.ts";

/** Options of `mapAsync`. */
export interface MapAsyncOptions extends CallOptions {
  /**
   * Where the function runs: "async", in the worker's own thread, where it should wait more than it computes; "thread" or "process", for a
   * `moduleFunction`. Default "async".
   */
  readonly concurrency?: Concurrency | undefined;
}

const CONCURRENCIES: readonly unknown[] = ["async", "thread", "process"] satisfies Concurrency[];

/** A `mapAsync` step of a function, or of one in a module. */
export function plannedCalls(
  name: string,
  given: unknown,
  options: MapAsyncOptions,
): Pick<PlannedStep, "name" | "kind" | "description" | "work"> & Partial<PlannedStep> {
  const policy = callPolicy(name, options);
  const { concurrency = "async" } = options;
  if (!CONCURRENCIES.includes(concurrency)) {
    throw new PlanError(`step "${name}": concurrency must be one of async, thread, process (got ${JSON.stringify(concurrency)})`);
  }
  if (concurrency === "process" && policy.argument === "event") {
    throw new PlanError(`step "${name}": concurrency "process" may not be used with fullEvent: only values go to a process`);
  }
  const description = describeCalls(options);
  if (!isModuleFunction(given)) {
    if (concurrency !== "async") {
      throw new PlanError(
        `step "${name}": a function can't leave its thread, so for concurrency "${concurrency}" put it in a module of its own: moduleFunction(import.meta.resolve("./file.ts"))`,
      );
    }
    return { name, kind: "mapAsync", description, work: { type: "step", step: mapAsyncStep(policy, callableOf(name, given)) } };
  }
  const batching = batchingOf(name, { batch: { maxSize: 1 } });
  const model: PlannedModel = { spec: given.place(concurrency, policy.maxInFlight), options: { step: name, batching }, need: "needed" };
  return {
    name,
    kind: "mapAsync",
    description: { concurrency, ...model.spec.description, ...description },
    models: [model],
    work: { type: "step", step: mapModuleStep(policy, model) },
  };
}

function isModuleFunction(given: unknown): given is ModuleFunction {
  return typeof given === "object" && given !== null && "module" in given && typeof (given as Partial<ModuleFunction>).place === "function";
}
