import { PlanError } from "../errors.ts";
import type { ModelSpec, PlannedModel } from "../model.ts";
import type { CallFunction, CallOptions } from "./call.ts";
import { callPolicy } from "./call.ts";
import { callableOf } from "./given.ts";
import type { InferOptions } from "./infer.ts";
import { askFunction, askModel, batchingOf, inferStep } from "./infer.ts";
import type { PlannedStep } from "./plan.ts";

/** An `infer` step of a function, or of a model and its place. */
export function plannedInference(
  name: string,
  given: unknown,
  said: InferOptions,
): Pick<PlannedStep, "name" | "kind" | "description" | "models" | "work"> {
  const options = isModel(given) ? withDefaults(said, given.defaults) : said;
  const policy = callPolicy(name, options);
  const batching = batchingOf(name, options);
  const description = describeCalls(options);
  if (!isModel(given)) {
    const fn = callableOf<CallFunction<readonly unknown[], unknown>>(name, given);
    return { name, kind: "infer", description, work: { type: "step", step: inferStep(policy, batching.maxSize, askFunction(policy, fn)) } };
  }
  if (policy.context === "pass" || policy.argument === "event")
    throw new PlanError(`step "${name}": passContext and fullEvent are for functions; a model gets the values alone`);
  const model: PlannedModel = { spec: given, options: { step: name, batching } };
  const ask = askModel(policy, model, options.priority ?? 0);
  return {
    name,
    kind: "infer",
    description: { place: given.kind, ...given.description, ...description },
    models: [model],
    work: { type: "step", step: inferStep(policy, batching.maxSize, ask) },
  };
}

/** Options with what a place says where they say nothing. */
function withDefaults(options: InferOptions, { retries, maxSize }: NonNullable<ModelSpec["defaults"]> = {}): InferOptions {
  return {
    ...options,
    retries: options.retries ?? retries,
    batch: { ...options.batch, maxSize: options.batch?.maxSize ?? maxSize },
  };
}

/** How a step's calls are shown. */
export function describeCalls(options: CallOptions): PlannedStep["description"] {
  const { maxInFlight = 8, retries = 0, timeout, deadline } = options;
  return { maxInFlight, retries, timeout, deadline };
}

function isModel(given: unknown): given is ModelSpec {
  return typeof given === "object" && given !== null && typeof (given as Partial<ModelSpec>).open === "function" && "kind" in given;
}
