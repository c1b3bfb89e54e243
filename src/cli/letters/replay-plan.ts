import type { Plan } from "../../pipeline/plan.ts";

/**
 * The plan from a step on, for letters that hold what came to that step: or the sinks alone, for what a sink refused.
 * @returns undefined when the plan has neither
 */
export function planFor(plan: Plan, step: string): Plan | undefined {
  const index = plan.steps.findIndex(({ name }) => name === step);
  if (index !== -1) return { ...plan, steps: plan.steps.slice(index) };
  const isSink = plan.sinks.some(({ kind }) => step === kind || step === `sink ${kind}`);
  return isSink ? { ...plan, steps: [] } : undefined;
}
