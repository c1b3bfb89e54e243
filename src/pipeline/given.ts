/**
 * Products run without a compiler's check, so what the types ask for is looked at where a mistake would show much later.
 */
import { PlanError } from "../errors.ts";

/** @throws PlanError when it is no function */
export function functionOf<F>(name: string, given: unknown): F {
  if (typeof given === "function") return given as F;
  throw new PlanError(`step "${name}": give it a function, got ${given === null ? "null" : typeof given}`);
}

/**
 * A function whose results are taken one for one.
 * @throws PlanError when it is none
 */
export function callableOf<F>(name: string, given: unknown): F {
  if (Object.prototype.toString.call(given) !== "[object AsyncGeneratorFunction]") return functionOf(name, given);
  throw new PlanError(
    `step "${name}": its function must give one result or a promise of it, and a generator gives many; see flatMap and via`,
  );
}

/**
 * An option that counts something.
 * @param what names it in the error: `step "score": maxInFlight`
 * @throws PlanError when it is no whole number, or less than `least`
 */
export function wholeNumber(what: string, given: number, least = 1): number {
  if (!Number.isInteger(given) || given < least) throw new PlanError(`${what} must be a whole number, ${least} or more (got ${given})`);
  return given;
}
