import { PlanError } from "../errors.ts";
import { classesOf } from "./error-class.ts";

/** What becomes of an event that a step can't process. */
export type ErrorAction =
  /** The task stops at it, and nothing is committed past it. */
  | "fail"
  /** It is left out, and counted. */
  | "skip"
  /** It is kept in the pipeline's box for dead letters, and left out. */
  | "deadLetter";

/**
 * By class of error: its `name`, the name of its class, or of one that this extends; the most particular one counts. `default` is for all
 * others; without it they follow the next policy, that of the pipeline.
 */
export type ErrorActions = Readonly<Record<string, ErrorAction>>;

/** What becomes of events that can't be processed: always the same, or by the class of the error. */
export type ErrorPolicy = ErrorAction | ErrorActions;

const ACTIONS: readonly unknown[] = ["fail", "skip", "deadLetter"] satisfies ErrorAction[];

/**
 * Looks at what was given as a policy.
 * @param where what has it, for the error: `step "map"`
 * @throws {PlanError} when it is none
 */
export function errorPolicy(where: string, given: unknown): ErrorPolicy | undefined {
  if (given === undefined || ACTIONS.includes(given)) return given as ErrorPolicy | undefined;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new PlanError(
      `${where}: onError must be "fail", "skip", "deadLetter", or an object of these by class of error (got ${shown(given)})`,
    );
  }
  for (const [name, action] of Object.entries(given)) {
    if (ACTIONS.includes(action)) continue;
    throw new PlanError(`${where}: onError.${name} must be "fail", "skip" or "deadLetter" (got ${shown(action)})`);
  }
  return given as ErrorActions;
}

/** What a policy says about an error; undefined where it leaves that to the next one. */
export function actionOf(policy: ErrorPolicy | undefined, error: unknown): ErrorAction | undefined {
  if (policy === undefined || typeof policy === "string") return policy;
  for (const name of classesOf(error)) if (Object.hasOwn(policy, name)) return policy[name];
  return Object.hasOwn(policy, "default") ? policy["default"] : undefined;
}

/** Whether events can go to the box for dead letters by it. */
export function asksForLetters(policy: ErrorPolicy | undefined): boolean {
  return policy !== undefined && (policy === "deadLetter" || Object.values(policy).includes("deadLetter"));
}

/** A policy as data, for `graph` and `list`. */
export function describePolicy(policy: ErrorPolicy | undefined): string | undefined {
  if (policy === undefined || typeof policy === "string") return policy;
  return Object.entries(policy)
    .map(([name, action]) => `${name}: ${action}`)
    .join(", ");
}

function shown(given: unknown): string {
  return typeof given === "string" ? JSON.stringify(given) : given === null ? "null" : typeof given;
}
