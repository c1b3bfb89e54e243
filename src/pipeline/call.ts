import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import type { Logger, RunContext, TaskIdentity, Tries } from "../contracts.ts";
import type { Duration } from "../duration.ts";
import { positiveMilliseconds } from "../duration.ts";
import { InfrastructureError, messageOf, PlanError } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import type { ErrorPolicy } from "./error-policy.ts";
import { mayPass, waitBefore } from "./retry.ts";

/** How `mapAsync` and `infer` call their function. Semantics as in Storey's ConcurrentExecution, except where noted. */
export interface CallOptions {
  /** Names the step in the plan, in errors and metrics; default the method's name. */
  readonly name?: string | undefined;
  /** Calls under way at a time, at least 1; default 8. A call keeps its place until its result has gone on. */
  readonly maxInFlight?: number | undefined;
  /** Extra attempts after the first; default 0. A DataError is not tried again. `infer` repeats the call with the rows that failed. */
  readonly retries?: number | undefined;
  /**
   * Seconds before the first retry at most, doubling with each, at most 120; default 1. Up to half of it is left out at random. 0 means
   * no wait (in Storey it means 1). An error with a `retryAfter` (milliseconds; see RetryableError) is waited for so long at least.
   */
  readonly backoffFactor?: number | undefined;
  /** Time for one attempt; default none. An attempt that takes longer counts as failed, and what it gives later is ignored. */
  readonly timeout?: Duration | undefined;
  /** Time for all attempts and the waits between them; default none. What it cuts off counts as failed. */
  readonly deadline?: Duration | undefined;
  /** What becomes of an event that is not tried again or fails in its last attempt, also with a timeout; default: as the pipeline's `onError` says. */
  readonly onError?: ErrorPolicy | undefined;
  /**
   * False lets results go on as they are done, each as soon as it is; default true: in input order. The position still passes an event only
   * when all before it are done, so after a crash more is done again, and windows behind it wait for the slowest call. Not for exactly-once sinks.
   */
  readonly ordered?: boolean | undefined;
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

/** A call took longer than its `timeout` in its last attempt, or than its `deadline` in all. */
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
  readonly deadline: number | undefined;
  readonly context: "pass" | "none";
  readonly argument: "event" | "value";
  readonly results: "in input order" | "as they are done";
}

/** @throws PlanError when an option is out of its range */
export function callPolicy(step: string, options: CallOptions): CallPolicy {
  const { maxInFlight = 8, retries = 0, backoffFactor = 1, timeout, deadline } = options;
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
    deadline: deadline === undefined ? undefined : positiveMilliseconds(deadline, `step "${step}": deadline`),
    context: options.passContext === true ? "pass" : "none",
    argument: options.fullEvent === true ? "event" : "value",
    results: options.ordered === false ? "as they are done" : "in input order",
  };
}

/** A product's asynchronous function; it may as well answer at once. */
export type CallFunction<In, Out> = (input: In, context: CallContext) => Out | PromiseLike<Out>;

/** What one attempt has. */
export interface Attempt {
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Aborts when the attempt's time is up or the work is given up. */
  readonly signal: AbortSignal;
  /** The clock's `elapsed` at which an answer comes too late; Infinity for never. */
  readonly until: number;
}

/** One attempt at a call. Where the policy sets no time it must settle by itself when its signal aborts, or be content that it is waited for. */
export type AttemptFunction<In, Out> = (input: In, attempt: Attempt) => Out | PromiseLike<Out>;

/** A product's function as attempts: it gets a context if the policy says so. */
export function attemptsOf<In, Out>(policy: CallPolicy, fn: CallFunction<In, Out>, run: RunContext): AttemptFunction<In, Out> {
  if (policy.context === "none") return fn as (input: In) => Out | PromiseLike<Out>;
  const { task, partition, logger } = run;
  return (input, { attempt, signal }) => fn(input, { task, partition, step: policy.step, logger, signal, attempt });
}

/** What came of a call and its retries. */
export type Called<Out> =
  | { readonly how: "answered"; readonly value: Out; readonly tries: Tries }
  | { readonly how: "failed"; readonly error: unknown; readonly tries: Tries };

/** Which failures of a call are tried again: all that may pass, or those of the infrastructure alone. */
export type Retried = "all" | "infrastructure";

/**
 * Calls a function with the policy's attempts. An answer can ask for more: `again` gives the errors that are left in it.
 * Rejects with the reason of `run.signal` when that aborts, and never else.
 */
export async function callWithPolicy<In, Out>(
  policy: CallPolicy,
  fn: AttemptFunction<In, Out>,
  input: () => In,
  run: RunContext,
  options: { readonly retried?: Retried; readonly again?: (value: Out, tries: Tries) => readonly unknown[] } = {},
): Promise<Called<Out>> {
  const { clock, counters, signal } = run;
  const until = policy.deadline === undefined ? Number.POSITIVE_INFINITY : clock.elapsed() + policy.deadline;
  counters.inFlight += 1;
  try {
    let first: number | undefined;
    for (let attempt = 1; ; attempt++) {
      let called: Called<Out>;
      let errors: readonly unknown[];
      try {
        const value = await attemptOnce(policy, fn, input(), run, { attempt, until });
        const now = clock.now();
        const tries = { attempts: attempt, first: first ?? now, last: now };
        called = { how: "answered", value, tries };
        errors = options.again?.(value, tries) ?? [];
      } catch (error) {
        signal.throwIfAborted();
        const now = clock.now();
        called = { how: "failed", error, tries: { attempts: attempt, first: first ?? now, last: now } };
        errors = [error];
      }
      const hopeful = errors.filter((error) =>
        options.retried === "infrastructure" ? error instanceof InfrastructureError : mayPass(error),
      );
      if (hopeful.length === 0 || attempt >= policy.attempts) return called;
      const wait = waitBefore(policy.backoffFactor, attempt, hopeful, run.random ?? Math.random);
      if (clock.elapsed() + wait >= until) return called;
      first = called.tries.first;
      counters.retried += 1;
      run.logger.debug({ step: policy.step, attempt, wait }, `call failed, trying again: ${messageOf(hopeful[0])}`);
      if (wait > 0) await sleep(wait, signal, clock);
    }
  } finally {
    counters.inFlight -= 1;
  }
}

/** What is asked may end a call by itself when its time is up, but not before the step has: all places are told of alike. Milliseconds. */
const BEHIND = 10;

function attemptOnce<In, Out>(
  policy: CallPolicy,
  fn: AttemptFunction<In, Out>,
  input: In,
  run: RunContext,
  { attempt, until }: { readonly attempt: number; readonly until: number },
): Out | PromiseLike<Out> {
  const { timeout, context } = policy;
  // Without a time or a context nothing needs a signal of its own.
  if (timeout === undefined && until === Number.POSITIVE_INFINITY && context === "none")
    return fn(input, { attempt, signal: run.signal, until });
  const latest = timeout === undefined ? until : Math.min(until, run.clock.elapsed() + timeout);
  return withDeadline(policy, run, until, (signal) => fn(input, { attempt, signal, until: latest + BEHIND }));
}

function withDeadline<Out>(
  policy: CallPolicy,
  run: RunContext,
  until: number,
  call: (signal: AbortSignal) => Out | PromiseLike<Out>,
): Promise<Out> {
  const controller = new AbortController();
  return new Promise<Out>((resolve, reject) => {
    const giveUp = (reason: unknown) => {
      settled();
      controller.abort(reason);
      reject(reason);
    };
    const abort = () => giveUp(run.signal.reason);
    let cancel = () => {};
    let unwatch = () => {};
    // A call that is given up may never end, and must not leave anything behind.
    const settled = () => {
      cancel();
      unwatch();
    };
    if (run.signal.aborted) {
      abort();
      return;
    }
    unwatch = onAbort(run.signal, abort);
    cancel = startTimeout(policy, until, run.clock, giveUp);
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

function startTimeout(policy: CallPolicy, until: number, clock: Clock, giveUp: (reason: Error) => void): () => void {
  const { timeout = Number.POSITIVE_INFINITY, deadline, step } = policy;
  const left = until - clock.elapsed();
  const ms = Math.min(timeout, left);
  if (ms === Number.POSITIVE_INFINITY) return () => undefined;
  const what = timeout <= left ? `no answer within ${timeout} ms` : `no answer within the deadline of ${deadline} ms`;
  return clock.after(Math.max(0, ms), () => giveUp(new CallTimeoutError(`step "${step}": ${what}`)), "deadline");
}
