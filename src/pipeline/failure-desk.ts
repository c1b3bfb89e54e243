import type { Event } from "../batch.ts";
import type { Counters, Failures, OpenContext, Tries } from "../contracts.ts";
import type { DeadLetter, LetterBox } from "../dead-letter.ts";
import { DataError, InfrastructureError, OwnershipLostError, PlannedStop } from "../errors.ts";
import { deadLetter } from "./dead-letter.ts";
import type { ErrorAction, PlannedPolicy } from "./error-policy.ts";
import { actionOf } from "./error-policy.ts";
import type { WaitingFailure } from "./failure-queue.ts";
import type { FloodBreaker } from "./flood-breaker.ts";
import type { HandlerDesk } from "./handlers.ts";
import { Handlers } from "./handlers.ts";
import type { Plan } from "./plan.ts";
import { StateError } from "./state/step-state.ts";

/** What the failures of one partition are handled with. */
export interface FailureDeskOptions {
  readonly plan: Plan;
  readonly context: OpenContext;
  readonly counters: Counters;
  /** The plan's box for dead letters, open. */
  readonly box: LetterBox | undefined;
  readonly breaker: FloodBreaker;
}

/** Decides by the plan what becomes of events that can't be processed, and keeps the dead letters until they are written. */
export class FailureDesk implements Failures, HandlerDesk {
  readonly #options: FailureDeskOptions;
  readonly #ofSteps: ReadonlyMap<string, PlannedPolicy>;
  readonly #standard: ErrorAction;
  readonly #indexes: ReadonlyMap<string, number>;
  readonly handlers: Handlers;
  #letters: DeadLetter[] = [];
  /** The writing of all letters that were handed over so far. */
  #writing: Promise<void> | undefined;

  constructor(options: FailureDeskOptions) {
    this.#options = options;
    const { steps, deadLetter: box } = options.plan;
    this.#ofSteps = new Map(steps.flatMap(({ name, onError }) => (onError === undefined ? [] : [[name, onError] as const])));
    this.#indexes = new Map(steps.map(({ name }, index) => [name, index]));
    this.#standard = box === undefined ? "fail" : "deadLetter";
    this.handlers = new Handlers(options.plan, this);
  }

  canTake(step: string): boolean {
    return (this.#ofSteps.get(step) ?? this.#options.plan.onError ?? this.#standard) !== "fail";
  }

  take(step: string, event: Event, error: unknown, tries?: Tries): void {
    // No event is at fault, and none may be lost for it.
    if (error instanceof StateError) throw error;
    this.#take({ step, event, error, tries }, this.#indexes.get(step));
  }

  /** For events that the source could not decode: nobody has counted them as read. */
  readonly ofSource: Failures = {
    canTake: (step) => this.canTake(step),
    take: (step, event, error, tries) => {
      this.#options.breaker.read(1);
      this.#take({ step, event, error, tries }, -1);
      this.#options.counters.in += 1;
    },
  };

  /** For the steps of error handlers: what fails there is not handled again. */
  readonly afterHandler: Failures = {
    canTake: () => this.#standard !== "fail",
    take: (step, event, error, tries) => this.conclude({ step, event, error, tries }, undefined),
  };

  conclude(failure: WaitingFailure, action: ErrorAction | undefined): void {
    const { plan, counters } = this.#options;
    const { step, event, error } = failure;
    const said = action ?? this.#standard;
    if (said === "skip") counters.skipped += 1;
    else if (said === "deadLetter" && plan.deadLetter !== undefined) this.#keep(failure);
    else throw failureOf(step, event, error);
  }

  #take(failure: WaitingFailure, index: number | undefined): void {
    const { step, event, error } = failure;
    const policy = index === -1 ? undefined : this.#ofSteps.get(step);
    const action = this.#isOfEvent(error)
      ? (actionOf(policy, error) ?? actionOf(this.#options.plan.onError, error) ?? this.#standard)
      : "fail";
    if (action === "fail") throw failureOf(step, event, error);
    this.#options.breaker.failed(step, error);
    if (typeof action === "object") this.handlers.add(failure, action, index);
    else this.conclude(failure, action);
  }

  #keep({ step, event, error, tries }: WaitingFailure): void {
    const { counters, context } = this.#options;
    const now = context.clock.now();
    const { task, hide = asIs } = context;
    this.#letters.push(deadLetter({ task, step, event, error, tries: tries ?? { attempts: 1, first: now, last: now }, hide }));
    counters.deadLettered += 1;
  }

  #isOfEvent(error: unknown): boolean {
    return !(error instanceof OwnershipLostError || error instanceof PlannedStop);
  }

  /**
   * Writes the letters that were taken since the last call, behind those before.
   * @returns settles when all letters taken so far are kept; undefined when they are already
   */
  written(signal: AbortSignal): Promise<void> | undefined {
    const letters = this.#letters;
    if (letters.length === 0) return this.#writing;
    this.#letters = [];
    const writing = (this.#writing ?? Promise.resolve()).then(() => this.#options.box?.write(letters, signal));
    this.#writing = writing;
    const over = () => {
      if (this.#writing === writing) this.#writing = undefined;
    };
    // A failure is kept: no batch behind these letters may be done.
    writing.then(over, () => undefined);
    return writing;
  }
}

/** What ends a pipeline at an event: what may pass later stays what it is, anything else is a data error of the event. */
export function failureOf(step: string, event: Event | undefined, error: unknown): Error {
  return error instanceof DataError || error instanceof InfrastructureError || error instanceof PlannedStop || error instanceof StateError
    ? error
    : new DataError(step, event, error);
}

const asIs = (text: string): string => text;
