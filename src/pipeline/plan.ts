import type { Batch } from "../batch.ts";
import type { Description, RunContext, SinkSpec, SourceSpec, Step } from "../contracts.ts";
import type { PlannedModel } from "../model.ts";
import type { PlannedPolicy } from "./error-policy.ts";
import type { Breaker } from "./flood-breaker.ts";

/** A pipeline as data: it can be listed, drawn and checked before anything runs. */
export interface Plan {
  readonly source: SourceSpec;
  readonly steps: readonly PlannedStep[];
  /** Every event that leaves the last step goes to each of them. */
  readonly sinks: readonly SinkSpec[];
  /** What becomes of events that can't be processed, where their step does not say otherwise. */
  readonly onError?: PlannedPolicy | undefined;
  /** The box for dead letters. */
  readonly deadLetter?: SinkSpec | undefined;
  /** When so many fail that the task pauses; undefined for never. */
  readonly breaker?: Breaker | undefined;
}

/** One step of a plan. */
export interface PlannedStep {
  /** Unique in the plan: the method's name (`map`, `map-2`) unless one was given. */
  readonly name: string;
  /** The builder's method: `map`, `window`, `infer`, `via` … */
  readonly kind: string;
  readonly description: Description;
  /** Whether it keeps something of earlier events, so that it needs all events of a key and a place to start again. */
  readonly stateful: boolean;
  /**
   * The step saves its state in checkpoints: what that is made for, as a text for people. State that was saved for another
   * shape does not fit. Undefined: it has none, or makes it anew from the records that it holds the position back for.
   */
  readonly memory?: { readonly shape: string } | undefined;
  /** A sink beside the main ones, such as a window's late sink. */
  readonly side: SinkSpec | undefined;
  /** The models that it asks. */
  readonly models?: readonly PlannedModel[] | undefined;
  /** What becomes of the events that it can't process; undefined: as the plan says. */
  readonly onError?: PlannedPolicy | undefined;
  readonly work: Work;
}

/**
 * How a step works: `transform` for one that is synchronous and needs no timer (neighbours run in one loop), `step` for
 * one that awaits or keeps time. Both are made once for each partition.
 */
export type Work =
  | { readonly type: "transform"; readonly make: (run: RunContext) => Transform }
  // The builder forgets the types of values here; what it hands out is typed end to end.
  | { readonly type: "step"; readonly step: Step<unknown, unknown> };

/** Whether it is a source or a sink. */
export function canBeOpened(given: unknown): boolean {
  return typeof (given as SinkSpec | undefined | null)?.open === "function";
}

/** A synchronous operation over a batch. It may change the batch's events and reuse their array. Throws Truncated on a data error. */
export type Transform = (batch: Batch) => Batch;
