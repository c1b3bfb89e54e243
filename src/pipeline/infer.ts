import type { Event } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import type { Duration } from "../duration.ts";
import { milliseconds } from "../duration.ts";
import type { ModelIdentity } from "../model-stats.ts";
import type { Batching, PlannedModel } from "../model.ts";
import type { Attempt, CallFunction, CallOptions, CallPolicy } from "./call.ts";
import { attemptsOf } from "./call.ts";
import { eventCalls } from "./event-calls.ts";
import { wholeNumber } from "./given.ts";
import type { Answerer } from "./inference/answerer.ts";

export { checkRows, failed, FailedOutput, RowCountError } from "./inference/answers.ts";

/** Options of `infer`: those of `mapAsync`, and how many rows a call may have. */
export interface InferOptions extends CallOptions {
  readonly batch?: BatchingOptions | undefined;
  /** Calls of a higher one go first where several pipelines share a model; default 0. For models, not for functions. */
  readonly priority?: number | undefined;
}

/** How inputs are joined into calls. All but `maxSize` is for models, which several pipelines can share, and not for functions. */
export interface BatchingOptions {
  /** The most rows of one call; default 256. */
  readonly maxSize?: number | undefined;
  /** For how long a call may wait for others to join it when the model is idle and others can come; default "0s": it has what is there. */
  readonly maxDelay?: Duration | undefined;
  /** The most rows that wait for the model, over all its callers; default 16,384. More wait at their source. */
  readonly maxQueuedRows?: number | undefined;
  /** The same in bytes of the records that they come from; default 64 MiB. */
  readonly maxQueuedBytes?: number | undefined;
}

/** Rows per call where nothing is said: past 64 to 256 rows a call, small models gain little. */
const DEFAULT_ROWS = 256;
const DEFAULT_QUEUED_ROWS = 16_384;
const DEFAULT_QUEUED_BYTES = 64 * 1024 * 1024;

/** @throws PlanError when an option is out of its range */
export function batchingOf(step: string, { batch = {} }: InferOptions): Batching {
  return {
    maxSize: wholeNumber(`step "${step}": batch.maxSize`, batch.maxSize ?? DEFAULT_ROWS),
    maxDelay: milliseconds(batch.maxDelay ?? 0, `step "${step}": batch.maxDelay`),
    maxQueuedRows: wholeNumber(`step "${step}": batch.maxQueuedRows`, batch.maxQueuedRows ?? DEFAULT_QUEUED_ROWS),
    maxQueuedBytes: wholeNumber(`step "${step}": batch.maxQueuedBytes`, batch.maxQueuedBytes ?? DEFAULT_QUEUED_BYTES),
  };
}

/** What a step asks for the rows of a call. */
export interface Asked {
  readonly outputs: unknown;
  /** What answered; undefined for a function, which has no name. */
  readonly identity: ModelIdentity | undefined;
}

/** Asks once. The events are those of the rows, in order. */
export type Ask = (events: readonly Event[], attempt: Attempt) => Promise<Asked>;

/** What a step asks, as its partition's run begins; disposed of at its end. */
export interface Asking extends Disposable {
  readonly ask: Ask;
  /** How many calls may be under way now, where that is less at times than the step's `maxInFlight`. */
  readonly limit?: (() => number) | undefined;
}

/** What answers a partition's step. */
export interface OpenInference {
  readonly answerer: Answerer;
  /** See Asking. */
  readonly limit: Asking["limit"];
}

/** A model over arrays of inputs: neighbouring events are given to it in one call, several calls at a time, results in input order. */
export function inferStep(policy: CallPolicy, rows: number, open: (run: RunContext) => OpenInference): Step<unknown, unknown> {
  return async function* infer(input, run) {
    const { answerer: opened, limit = policy.maxInFlight } = open(run);
    await using answerer = opened;
    yield* eventCalls(policy, { size: rows, limit }, input, run, (events) =>
      answerer.answer(
        events,
        events.map((_, index) => index),
      ),
    );
  };
}

/**
 * An asynchronous function over arrays, in the pipeline itself.
 * @param identity names it where results are to tell it apart from a model; default: it has no name
 */
export function askFunction(
  policy: CallPolicy,
  fn: CallFunction<readonly unknown[], unknown>,
  identity?: ModelIdentity,
): (run: RunContext) => Asking {
  return (run) => {
    const attempt = attemptsOf(policy, fn, run);
    const ask: Ask = async (events, attempted) => ({
      outputs: await attempt(policy.argument === "event" ? events : events.map(valueOf), attempted),
      identity,
    });
    return { ask, [Symbol.dispose]: () => undefined };
  };
}

/** A model of the plan. */
export function askModel(policy: CallPolicy, model: PlannedModel, priority: number): (run: RunContext) => Asking {
  return (run) => {
    const name = `${run.task.id}/${policy.step}/${run.partition}`;
    const caller = run.model(model).caller({ name, maxInFlight: policy.maxInFlight, priority });
    const ask: Ask = (events, { signal, until }) => caller.predict(events.map(valueOf), { events, signal, until });
    return { ask, limit: () => caller.maxInFlight, [Symbol.dispose]: () => caller[Symbol.dispose]() };
  };
}

function valueOf(event: Event): unknown {
  return event.value;
}
