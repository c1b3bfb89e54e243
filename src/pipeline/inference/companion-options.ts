import type { SinkSpec } from "../../contracts.ts";
import type { Duration } from "../../duration.ts";
import type { ModelSpec } from "../../model.ts";

/** A model and its place, or a function over arrays of values. */
export type ModelOrFunction<In, Out> = ModelSpec<In, Out> | ((inputs: readonly In[]) => ArrayLike<Out> | PromiseLike<ArrayLike<Out>>);

/**
 * A second model that sees the same inputs and changes nothing: it is asked when the first has answered, by itself, and what it can't
 * keep up with is left out and counted.
 */
export interface ShadowOptions<In, Out, Shadowed> {
  readonly model: ModelOrFunction<In, Shadowed>;
  /** Where a `Comparison` goes for each row; default nowhere: it is counted alone. What it does not take is left out and counted. */
  readonly to?: SinkSpec | undefined;
  /** Which of them: `all` (default), or `differences`. */
  readonly write?: "all" | "differences" | undefined;
  /** Whether two answers differ; default: when they are not deeply equal. What it throws counts as a failure of the second model. */
  readonly differs?: ((first: Out, second: Shadowed) => boolean) | undefined;
  /** The most rows that wait for it, in each partition, with those that it works on; default 1,024, and 16 MiB of their records. */
  readonly maxQueued?: number | undefined;
}

/** A row as two models answered it: what a shadow's sink gets as the event's value; key and time are those of the event. */
export interface Comparison<In = unknown, Out = unknown, Shadowed = unknown> {
  readonly step: string;
  readonly key: string | undefined;
  readonly input: In;
  /** What went on: left out when there was none. */
  readonly first?: Out;
  /** `NAME@VERSION` of what answered it; left out for the step's own function. */
  readonly firstModel?: string;
  readonly firstError?: string;
  readonly second?: Shadowed;
  readonly secondModel?: string;
  readonly secondError?: string;
  /** Also when one of them failed. */
  readonly differs: boolean;
}

/**
 * Another model that answers for a share of the keys. What it fails, or does not answer in time, the first one does, so that nothing is
 * lost; and when that is too much of it, the first does all.
 */
export interface CanaryOptions<In, Out> {
  readonly model: ModelOrFunction<In, Out>;
  /** From 0 to 1: always the same keys, by their hash; events without a key by their position. */
  readonly share: number;
  /** It is given up when more than this part of its rows failed of late, from 0 to 1, and the first could do them; default 0.05. */
  readonly maxErrorRate?: number | undefined;
  /** A call that takes longer has failed; default half of the step's `timeout` or `deadline`, if it has one. */
  readonly maxLatency?: Duration | undefined;
  /** How long is of late; default "1m". */
  readonly window?: Duration | undefined;
  /** It is not judged before it had so many rows within the window; default 20. */
  readonly minRows?: number | undefined;
  /** When it gets its share again after it was given up; default: when another version of it was loaded, or the task restarts. */
  readonly retryAfter?: Duration | undefined;
}

/** What answers in the place of a model that fails or is late, after its retries. */
export type FallbackOptions<In, Out> = FallbackCases &
  (
    | { readonly model: ModelOrFunction<In, Out>; readonly value?: never }
    /** A value, or what makes one of the input and the error. */
    | { readonly value: Out | ((input: In, error: unknown) => Out); readonly model?: never }
  );

/** When a fallback answers. */
export interface FallbackCases {
  /** So long the first has for all of its attempts; default the step's `deadline`. */
  readonly after?: Duration | undefined;
  /** For which errors: `infrastructure` (default: it is away, overloaded or late), or `all`, also what is the event's or the model's fault. */
  readonly errors?: "infrastructure" | "all" | undefined;
}

/** What else `infer` may ask besides its model. */
export interface CompanionOptions<In, Out, Shadowed> {
  readonly shadow?: ShadowOptions<In, Out, Shadowed> | undefined;
  readonly canary?: CanaryOptions<In, Out> | undefined;
  readonly fallback?: FallbackOptions<In, Out> | undefined;
}
