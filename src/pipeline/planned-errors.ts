import type { SinkSpec } from "../contracts.ts";
import { PlanError } from "../errors.ts";
import { checkInto } from "./error-handler.ts";
import type { PlannedPolicy } from "./error-policy.ts";
import { asksForLetters, isHandler } from "./error-policy.ts";
import type { BreakerOptions } from "./flood-breaker.ts";
import { breakerOf } from "./flood-breaker.ts";
import type { Plan, PlannedStep } from "./plan.ts";

/** What was said about errors in a whole pipeline, as it is built. */
export interface ErrorSettings {
  readonly onError?: PlannedPolicy | undefined;
  readonly deadLetter?: SinkSpec | undefined;
  readonly breaker?: BreakerOptions | "off" | undefined;
  /** What the names of its steps begin with: those of error handlers are told apart so. */
  readonly prefix?: string | undefined;
}

/**
 * Checks what a pipeline says about errors, when all of it is known.
 * @throws {PlanError} when events are to go to a box that there is not, naming the step
 */
export function plannedErrors(steps: readonly PlannedStep[], settings: ErrorSettings): Pick<Plan, "onError" | "deadLetter" | "breaker"> {
  const { onError, deadLetter } = settings;
  for (const [index, step] of steps.entries()) {
    if (isHandler(step.onError)) checkInto(`step "${step.name}"`, step.onError.into, steps.slice(index + 1));
  }
  if (isHandler(onError)) checkInto("the pipeline", onError.into, steps);
  if (deadLetter === undefined) {
    const step = steps.find((candidate) => asksForLetters(candidate.onError));
    const what = step === undefined ? (asksForLetters(onError) ? "the pipeline" : undefined) : `step "${step.name}"`;
    if (what !== undefined)
      throw new PlanError(`${what}: onError says deadLetter, and there is no box for them; name one with deadLetter(sink)`);
  }
  return { onError, deadLetter, breaker: breakerOf(settings.breaker) };
}
