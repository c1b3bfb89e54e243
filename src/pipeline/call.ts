import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import type { Logger, RunContext, TaskIdentity } from "../contracts.ts";
import type { Duration } from "../duration.ts";
import { positiveMilliseconds } from "../duration.ts";
import { InfrastructureError, messageOf, PlanError } from "../errors.ts";

/** How `mapAsync` and `infer` call their function. Semantics as in Storey's ConcurrentExecution, except where noted. */
export interface CallOptions {
  /** Names the step in the plan, in errors and metrics; default the method's name. */
  readonly name?: string | undefined;
  /** Calls under way at a time, at least 1; default 8. A call keeps its place until its result has gone on, so results keep the input's order. */
  readonly maxInFlight?: number | undefined;
  /** Extra attempts after the first; default 0. `infer` repeats the whole call. */
  readonly retries?: number | undefined;
  /** Seconds before the first retry, doubling with each, at most 120; default 1. 0 means no wait (in Storey it means 1). */
  readonly backoffFactor?: number | undefined;
  /** Time for one attempt; default none. An attempt that takes longer counts as failed, and what it gives later is ignored. */
  readonly timeout?: Duration | undefined;
  /** The function gets a `CallContext` as its second argument. */
  readonly passContext?: boolean | undefined;
  /** The function gets and returns events (for `infer` arrays of them) and not their values. */
  readonly fullEvent?: boolean | undefined;
}

/** What a function gets with `passContext: true`. */
export interface CallContext {
  readonly task: TaskIdentity;
  readonly partition: string;
  readonly step: string;
  readonly logger: Logger;
  /** Aborts when the attempt's time is up or the work is given up. */
  readonly signal: AbortSignal;
  /** 1 for the first attempt. */
  readonly attempt: number;
}

/** A call took longer than its `timeout`, in every attempt. */
export class CallTimeoutError extends InfrastructureError {
  override readonly name = "CallTimeoutError";
}

/** Options with defaults filled in and checked. */
export interface CallPolicy {
  readonly step: string;
  readonly maxInFlight: number;
  readonly attempts: number;
  readonly backoffFactor: number;
  readonly timeout: number | undefined;
  readonly context: "pass" | "none";
  readonly argument: "event" | "value";
}

/** The longest wait before a retry, in seconds. */
const LONGEST_BACKOFF = 120;

/** @throws PlanError when an option is out of its range */
export function callPolicy(step: string, options: CallOptions): CallPolicy {
  const { maxInFlight = 8, retries = 0, backoffFactor = 1, timeout } = options;
  if (!Number.isInteger(maxInFlight) || maxInFlight < 1) {
    throw new PlanError(`step "${step}": maxInFlight may not be less than 1 (got ${maxInFlight})`);
  }
  if (!Number.isInteger(retries) || retries < 0) {
    throw new PlanError(`step "${step}": retries must be a whole number, 0 or more (got ${retries})`);
  }
  if (!Number.isFinite(backoffFactor) || backoffFactor < 0) {
    throw new PlanError(`step "${step}": backoffFactor must be 0 or more seconds (got ${backoffFactor})`);
  }
  return {
    step,
    maxInFlight,
    attempts: retries + 1,
    backoffFactor,
    timeout: timeout === undefined ? undefined : positiveMilliseconds(timeout, `step "${step}": timeout`),
    context: options.passContext === true ? "pass" : "none",
    argument: options.fullEvent === true ? "event" : "value",
  };
}

/** A product's asynchronous function; it may as well answer at once. */
export type CallFunction<In, Out> = (input: In, context: CallContext) => Out | PromiseLike<Out>;

/**
 * Calls `fn` with the policy's attempts. Rejects with what the last attempt threw; with the reason of `run.signal` when
 * that aborts.
 */
export async function callWithPolicy<In, Out>(policy: CallPolicy, fn: CallFunction<In, Out>, input: In, run: RunContext): Promise<Out> {
  run.counters.inFlight += 1;
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await attemptOnce(policy, fn, input, run, attempt);
      } catch (error) {
        run.signal.throwIfAborted();
        if (attempt >= policy.attempts) throw error;
        run.counters.retried += 1;
        const wait = backoff(policy.backoffFactor, attempt);
        run.logger.debug({ step: policy.step, attempt, wait }, `call failed, trying again: ${messageOf(error)}`);
        if (wait > 0) await sleep(wait * 1000, run.signal, run.clock);
      }
    }
  } finally {
    run.counters.inFlight -= 1;
  }
}

/** Seconds before the retry after attempt `attempt`: factor, 2 × factor, 4 × factor …, at most 120. */
export function backoff(factor: number, attempt: number): number {
  return Math.min(LONGEST_BACKOFF, factor * 2 ** (attempt - 1));
}

function attemptOnce<In, Out>(
  policy: CallPolicy,
  fn: CallFunction<In, Out>,
  input: In,
  run: RunContext,
  attempt: number,
): Out | PromiseLike<Out> {
  // Without a timeout or a context nothing needs a signal of its own.
  if (policy.timeout === undefined && policy.context === "none") return (fn as (input: In) => Out | PromiseLike<Out>)(input);
  return withDeadline(policy, run, (signal) => {
    if (policy.context === "none") return (fn as (input: In) => Out | PromiseLike<Out>)(input);
    const { task, partition, logger } = run;
    return fn(input, { task, partition, step: policy.step, logger, signal, attempt });
  });
}

function withDeadline<Out>(policy: CallPolicy, run: RunContext, call: (signal: AbortSignal) => Out | PromiseLike<Out>): Promise<Out> {
  const controller = new AbortController();
  return new Promise<Out>((resolve, reject) => {
    const giveUp = (reason: unknown) => {
      settled();
      controller.abort(reason);
      reject(reason);
    };
    const abort = () => giveUp(run.signal.reason);
    let cancel = () => {};
    // A call that is given up may never end, and must not leave anything behind.
    const settled = () => {
      cancel();
      run.signal.removeEventListener("abort", abort);
    };
    if (run.signal.aborted) {
      abort();
      return;
    }
    run.signal.addEventListener("abort", abort, { once: true });
    cancel = startTimeout(policy, run.clock, giveUp);
    const failed = (error: unknown) => {
      settled();
      reject(error);
    };
    try {
      Promise.resolve(call(controller.signal)).then((value) => {
        settled();
        resolve(value);
      }, failed);
    } catch (error) {
      failed(error);
    }
  });
}

function startTimeout(policy: CallPolicy, clock: Clock, giveUp: (reason: Error) => void): () => void {
  const { timeout, step } = policy;
  if (timeout === undefined) return () => undefined;
  return clock.after(timeout, () => giveUp(new CallTimeoutError(`step "${step}": no answer within ${timeout} ms`)), "deadline");
}
