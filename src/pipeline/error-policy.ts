import { PlanError } from "../errors.ts";
import { classesOf } from "./error-class.ts";
import type { HandlerPolicy, HandlerSteps, PlannedHandlerSteps } from "./error-handler.ts";

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

/** What becomes of events that can't be processed: always the same, by the class of the error, or as a handler says. */
export type ErrorPolicy = ErrorAction | ErrorActions | HandlerPolicy | HandlerSteps;

/** The same in a plan: a handler's steps are planned. */
export type PlannedPolicy = ErrorAction | ErrorActions | HandlerPolicy | PlannedHandlerSteps;

/** Whether a policy asks a handler. */
export function isHandler(policy: PlannedPolicy | undefined): policy is HandlerPolicy | PlannedHandlerSteps {
  return typeof policy === "object" && ("handle" in policy || "handlerSteps" in policy);
}

const ACTIONS: readonly unknown[] = ["fail", "skip", "deadLetter"] satisfies ErrorAction[];

/**
 * Looks at what was given as a policy.
 * @param where what has it, for the error: `step "map"`
 * @param plan makes the steps of a handler that is given as such
 * @throws {PlanError} when it is none
 */
export function errorPolicy(
  where: string,
  given: unknown,
  plan: (steps: HandlerSteps["steps"]) => PlannedHandlerSteps["handlerSteps"],
): PlannedPolicy | undefined {
  if (given === undefined || ACTIONS.includes(given)) return given as ErrorAction | undefined;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new PlanError(
      `${where}: onError must be "fail", "skip", "deadLetter", or an object of these by class of error (got ${shown(given)})`,
    );
  }
  if ("steps" in given || "handle" in given) {
    const { steps, handle, into } = given as Partial<HandlerPolicy & HandlerSteps>;
    if (typeof steps === "function") return { handlerSteps: plan(steps), into };
    if (typeof handle === "function") return { handle, into };
    throw new PlanError(`${where}: onError.handle and onError.steps must be functions (got ${shown(handle ?? steps)})`);
  }
  for (const [name, action] of Object.entries(given)) {
    if (ACTIONS.includes(action)) continue;
    throw new PlanError(`${where}: onError.${name} must be "fail", "skip" or "deadLetter" (got ${shown(action)})`);
  }
  return given as ErrorActions;
}

/** What a policy says about an error; undefined where it leaves that to the next one. */
export function actionOf(policy: PlannedPolicy | undefined, error: unknown): ErrorAction | HandlerPolicy | PlannedHandlerSteps | undefined {
  if (policy === undefined || typeof policy === "string" || isHandler(policy)) return policy;
  for (const name of classesOf(error)) if (Object.hasOwn(policy, name)) return policy[name];
  return Object.hasOwn(policy, "default") ? policy["default"] : undefined;
}

/** Whether events can go to the box for dead letters by it. */
export function asksForLetters(policy: PlannedPolicy | undefined): boolean {
  return policy !== undefined && !isHandler(policy) && (policy === "deadLetter" || Object.values(policy).includes("deadLetter"));
}

/** A policy as data, for `graph` and `list`. */
export function describePolicy(policy: PlannedPolicy | undefined): string | undefined {
  if (policy === undefined || typeof policy === "string") return policy;
  if (isHandler(policy)) return policy.into === undefined ? "handler" : `handler into ${policy.into}`;
  return Object.entries(policy)
    .map(([name, action]) => `${name}: ${action}`)
    .join(", ");
}

function shown(given: unknown): string {
  return typeof given === "string" ? JSON.stringify(given) : given === null ? "null" : typeof given;
}
