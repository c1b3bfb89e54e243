import type { Event } from "../batch.ts";
import type { Counters, DeadLetter, Failures, LetterBox, OpenContext, Tries } from "../contracts.ts";
import { DataError, InfrastructureError, OwnershipLostError, PlannedStop } from "../errors.ts";
import { deadLetter } from "./dead-letter.ts";
import type { ErrorAction, ErrorPolicy } from "./error-policy.ts";
import { actionOf } from "./error-policy.ts";
import type { FloodBreaker } from "./flood-breaker.ts";
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
export class FailureDesk implements Failures {
  readonly #options: FailureDeskOptions;
  readonly #ofSteps: ReadonlyMap<string, ErrorPolicy>;
  readonly #standard: ErrorAction;
  #letters: DeadLetter[] = [];
  /** The writing of all letters that were handed over so far. */
  #writing: Promise<void> | undefined;

  constructor(options: FailureDeskOptions) {
    this.#options = options;
    const { steps, deadLetter: box } = options.plan;
    this.#ofSteps = new Map(steps.flatMap(({ name, onError }) => (onError === undefined ? [] : [[name, onError] as const])));
    this.#standard = box === undefined ? "fail" : "deadLetter";
  }

  canTake(step: string): boolean {
    return (this.#ofSteps.get(step) ?? this.#options.plan.onError ?? this.#standard) !== "fail";
  }

  take(step: string, event: Event, error: unknown, tries?: Tries): void {
    // No event is at fault, and none may be lost for it.
    if (error instanceof StateError) throw error;
    const action = this.#actionOf(step, error);
    if (action === "fail") throw failureOf(step, event, error);
    const { breaker, counters, context } = this.#options;
    breaker.failed(step, error);
    if (action === "skip") {
      counters.skipped += 1;
      return;
    }
    const now = context.clock.now();
    const { task, hide = asIs } = context;
    this.#letters.push(deadLetter({ task, step, event, error, tries: tries ?? { attempts: 1, first: now, last: now }, hide }));
    counters.deadLettered += 1;
  }

  /** For events that the source could not decode: nobody has counted them as read. */
  readonly ofSource: Failures = {
    canTake: (step) => this.canTake(step),
    take: (step, event, error, tries) => {
      this.#options.breaker.read(1);
      this.take(step, event, error, tries);
      this.#options.counters.in += 1;
    },
  };

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

  #actionOf(step: string, error: unknown): ErrorAction {
    // These are not about the event.
    if (error instanceof OwnershipLostError || error instanceof PlannedStop) return "fail";
    return actionOf(this.#ofSteps.get(step), error) ?? actionOf(this.#options.plan.onError, error) ?? this.#standard;
  }
}

/** What ends a pipeline at an event: what may pass later stays what it is, anything else is a data error of the event. */
export function failureOf(step: string, event: Event | undefined, error: unknown): Error {
  return error instanceof DataError || error instanceof InfrastructureError || error instanceof PlannedStop || error instanceof StateError
    ? error
    : new DataError(step, event, error);
}

const asIs = (text: string): string => text;
