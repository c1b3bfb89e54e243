import type { SinkSpec } from "../contracts.ts";
import type { PlannedModel } from "../model.ts";
import { isHandler } from "./error-policy.ts";
import type { Plan, PlannedStep } from "./plan.ts";

/** All steps of a plan, with those of its error handlers. */
export function allSteps({ steps, onError }: Plan): readonly PlannedStep[] {
  const policies = [onError, ...steps.map((step) => step.onError)];
  const handling = policies.flatMap((policy) => (isHandler(policy) && "handlerSteps" in policy ? policy.handlerSteps : []));
  return [...steps, ...handling];
}

/** The models that a plan's steps ask. */
export function plannedModels(plan: Plan): readonly PlannedModel[] {
  return allSteps(plan).flatMap((step) => step.models ?? []);
}

/** The sinks of a plan, those beside the main ones last. */
export function plannedSinks(plan: Plan): ReadonlySet<SinkSpec> {
  const sides = allSteps(plan).flatMap((step) => step.side ?? []);
  return new Set([...plan.sinks, ...sides]);
}
