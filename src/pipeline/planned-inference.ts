import type { RunContext } from "../contracts.ts";
import { PlanError } from "../errors.ts";
import type { PlannedModel } from "../model.ts";
import type { CallFunction, CallOptions } from "./call.ts";
import { callPolicy } from "./call.ts";
import { callableOf } from "./given.ts";
import type { Asking, InferOptions, OpenInference } from "./infer.ts";
import { askFunction, askModel, batchingOf, inferStep } from "./infer.ts";
import type { Answerer } from "./inference/answerer.ts";
import type { CompanionOptions } from "./inference/companion-options.ts";
import { isModel, withDefaults } from "./inference/given-model.ts";
import { plannedCompanions, policyBefore } from "./inference/planned-companions.ts";
import { ModelAnswerer } from "./inference/rows.ts";
import type { PlannedStep } from "./plan.ts";

/** An `infer` step of a function, or of a model and its place, with what is asked besides. */
export function plannedInference(
  name: string,
  given: unknown,
  said: InferOptions & CompanionOptions<unknown, unknown, unknown>,
): Pick<PlannedStep, "name" | "kind" | "description" | "models" | "work"> & Partial<PlannedStep> {
  const options = withDefaults(said, given);
  const policy = callPolicy(name, options);
  const batching = batchingOf(name, options);
  const priority = options.priority ?? 0;
  let ask: (run: RunContext) => Asking;
  let models: readonly PlannedModel[] = [];
  let place: PlannedStep["description"] = {};
  if (isModel(given)) {
    if (policy.context === "pass" || policy.argument === "event")
      throw new PlanError(`step "${name}": passContext and fullEvent are for functions; a model gets the values alone`);
    const model: PlannedModel = { spec: given, options: { step: name, batching }, need: "needed" };
    ask = askModel(policy, model, priority);
    models = [model];
    place = { place: given.kind, ...given.description };
  } else ask = askFunction(policy, callableOf<CallFunction<readonly unknown[], unknown>>(name, given));
  const first = policyBefore(policy, said.fallback);
  const companions = plannedCompanions({ name, options: said, first, priority }, said);
  const open = (run: RunContext): OpenInference => {
    const asking = ask(run);
    const own: Answerer = new ModelAnswerer(first, asking, run);
    return { answerer: companions.reduce((inner, companion) => companion.around(inner, run), own), limit: asking.limit };
  };
  models = [...models, ...companions.flatMap((companion) => companion.models)];
  return {
    name,
    kind: "infer",
    description: { ...place, ...describeCalls(options), ...Object.assign({}, ...companions.map(({ description }) => description)) },
    ...(models.length === 0 ? {} : { models }),
    side: companions.find(({ side }) => side !== undefined)?.side,
    work: { type: "step", step: inferStep(policy, batching.maxSize, open) },
  };
}

/** How a step's calls are shown. */
export function describeCalls(options: CallOptions): PlannedStep["description"] {
  const { maxInFlight = 8, retries = 0, timeout, deadline, ordered } = options;
  return { maxInFlight, retries, timeout, deadline, ordered: ordered === false ? false : undefined };
}
