import type { Event } from "../batch.ts";
import { PlanError } from "../errors.ts";
import type { Stream } from "./builder.ts";
import type { ErrorAction } from "./error-policy.ts";
import type { PlannedStep } from "./plan.ts";

/** An event that a step could not process, as an error handler gets it. */
export interface Failure {
  /** As the step got it, but for what it changed before it failed. */
  readonly event: Event;
  readonly error: unknown;
  /** The name of the step that raised the error, or `source`, or the kind of the sink. */
  readonly step: string;
  /** How often the step tried. */
  readonly attempts: number;
}

/** What an error handler says: what becomes of the event, or a value with which it goes on. */
export type HandlerAnswer = ErrorAction | { readonly value: unknown };

/** A product's function for failures. What it throws is an error of the event, which then goes to the dead letters, or ends the task. */
export type ErrorHandler = (failure: Failure) => HandlerAnswer | PromiseLike<HandlerAnswer>;

/** A policy that asks a product. */
export interface HandlerPolicy {
  readonly handle: ErrorHandler;
  /** The later step before which the event goes on when it gets a value; default: behind the step that failed. */
  readonly into?: string | undefined;
}

/** A policy whose handler is steps, from failures to values that go on. They keep no state. */
export interface HandlerSteps {
  readonly steps: (failures: Stream<Failure>) => Stream<unknown>;
  /** The later step before which their results go on; default: behind the step that failed. */
  readonly into?: string | undefined;
}

/** The same in a plan. */
export interface PlannedHandlerSteps {
  readonly handlerSteps: readonly PlannedStep[];
  readonly into?: string | undefined;
}

/** @throws {PlanError} when there is no such step, or it is not behind the one that may fail */
export function checkInto(where: string, into: unknown, later: readonly PlannedStep[]): void {
  if (into === undefined || later.some(({ name }) => name === into)) return;
  const names = later.map(({ name }) => name).join(", ");
  throw new PlanError(
    `${where}: onError.into must name a later step (got ${JSON.stringify(into)}${names === "" ? "" : `; there are ${names}`})`,
  );
}

/** @throws {PlanError} when a step keeps state: a failure is no place for it */
export function checkHandlerSteps(where: string, steps: readonly PlannedStep[]): void {
  const wrong = steps.find(({ stateful, kind }) => stateful || kind === "timeBy");
  if (wrong !== undefined) {
    throw new PlanError(`${where}: the steps of an error handler can't keep state or time, as ${wrong.kind} "${wrong.name}" does`);
  }
  const handling = steps.find(({ onError }) => onError !== undefined);
  if (handling !== undefined) {
    throw new PlanError(
      `${where}: step "${handling.name}" of an error handler can't have an onError of its own: what fails there is a dead letter, or ends the task`,
    );
  }
}
