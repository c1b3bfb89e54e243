/**
 * A circuit breaker for a model that is elsewhere: while it is away or overloaded, calls are refused here and at once, and it is
 * left alone but for one call from time to time.
 *
 * A place makes one with its runner and sends every call through it:
 *
 *     const breaker = new CircuitBreaker("digits@3", options.breaker, context);
 *     run: (rows, call) => breaker.call(call.signal, () => request(rows, call)),
 *
 * What `request` throws decides: an InfrastructureError counts as a failure, and anything else as an answer, since a model that
 * refuses its input is there. `request` must settle by itself, by a timeout or by the signal.
 * A call that was given up counts only when the step's `timeout` or `deadline` gave it up.
 */
import type { Duration } from "../duration.ts";
import { positiveMilliseconds } from "../duration.ts";
import { InfrastructureError, messageOf, PlanError, shortened } from "../errors.ts";
import type { RunnerContext } from "../model.ts";
import { CallTimeoutError } from "../pipeline/call.ts";
import { RecentCounts } from "../pipeline/recent-counts.ts";
import { RetryableError, waitBefore } from "../pipeline/retry.ts";

/** When calls of a remote model are refused without asking it. */
export interface CircuitBreakerOptions {
  /** After so many failures in a row; default 5. */
  readonly failures?: number | undefined;
  /** After more than this part of the calls within `within` failed, from 0 to 1; default 0.5. */
  readonly errorRate?: number | undefined;
  /** The fewest calls by which `errorRate` is judged; default 20. */
  readonly calls?: number | undefined;
  /** The time over which `errorRate` is counted; default "30s". */
  readonly within?: Duration | undefined;
  /**
   * How long calls are refused before one is let through, doubling with each that fails, at most two minutes; default "1s". Up to half of it
   * is left out at random. A longer `retryAfter` of the failure is waited for.
   */
  readonly wait?: Duration | undefined;
}

/** Options with defaults filled in and checked; times in milliseconds. */
export interface BreakerPolicy {
  readonly failures: number;
  readonly errorRate: number;
  readonly calls: number;
  readonly within: number;
  readonly wait: number;
}

/**
 * @param where what the options belong to, for errors
 * @throws {PlanError} when an option is out of its range
 */
export function breakerPolicy(where: string, options: CircuitBreakerOptions = {}): BreakerPolicy {
  const { failures = 5, errorRate = 0.5, calls = 20, within = "30s", wait = "1s" } = options;
  for (const [name, given] of [
    ["failures", failures],
    ["calls", calls],
  ] as const) {
    if (!Number.isInteger(given) || given < 1)
      throw new PlanError(`${where}: breaker.${name} must be a whole number, 1 or more (got ${given})`);
  }
  if (typeof errorRate !== "number" || !(errorRate >= 0 && errorRate <= 1))
    throw new PlanError(`${where}: breaker.errorRate must be from 0 to 1 (got ${errorRate})`);
  return {
    failures,
    errorRate,
    calls,
    within: positiveMilliseconds(within, `${where}: breaker.within`),
    wait: positiveMilliseconds(wait, `${where}: breaker.wait`),
  };
}

/** Closed: calls go through. Open: they are refused until `until`. Half open: the next one, or one under way, says how it goes on. */
type State =
  | { readonly name: "closed" }
  | { readonly name: "open"; readonly until: number }
  | { readonly name: "half-open"; readonly probe: Promise<void> | undefined };

const CLOSED: State = { name: "closed" };

/** See above. Time goes by the clock of the context; nothing is left running. */
export class CircuitBreaker {
  readonly #model: string;
  readonly #policy: BreakerPolicy;
  readonly #context: Pick<RunnerContext, "clock" | "logger" | "random" | "hide" | "waiting">;
  readonly #recent: RecentCounts;
  #state: State = CLOSED;
  /** Raised whenever it opens or closes: calls of before say nothing of the model as it is now. */
  #period = 0;
  #failuresInRow = 0;
  /** How often it has opened since it was closed. */
  #opened = 0;
  #since = "";
  #why = "";

  /** @param model names it for people: `digits@3` */
  constructor(model: string, policy: BreakerPolicy, context: Pick<RunnerContext, "clock" | "logger" | "random" | "hide" | "waiting">) {
    this.#model = model;
    this.#policy = policy;
    this.#context = context;
    this.#recent = new RecentCounts(policy.within, context.clock);
  }

  /**
   * Makes the call, unless the circuit is open.
   * @param signal of the call
   * @throws {RetryableError} at once while the circuit is open, with the time until the model is tried again
   */
  call<T>(signal: AbortSignal, request: () => Promise<T>): Promise<T> {
    return this.#state.name === "closed" ? this.#observed(signal, request) : this.#callBroken(signal, request);
  }

  async #callBroken<T>(signal: AbortSignal, request: () => Promise<T>): Promise<T> {
    while (true) {
      const state = this.#now();
      if (state.name === "closed") return await this.#observed(signal, request);
      if (state.name === "open") throw this.#refusal(state.until);
      if (state.probe === undefined) return await this.#probe(signal, request);
      // One call is looking whether the model is back: its answer is near, and decides for this one too.
      await state.probe;
      signal.throwIfAborted();
    }
  }

  #now(): State {
    if (this.#state.name === "open" && this.#context.clock.elapsed() >= this.#state.until)
      this.#state = { name: "half-open", probe: undefined };
    return this.#state;
  }

  async #probe<T>(signal: AbortSignal, request: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#state = { name: "half-open", probe: promise };
    try {
      return await this.#observed(signal, request);
    } finally {
      // Given up before it was answered: the next call looks.
      if (this.#state.name === "half-open") this.#state = { name: "half-open", probe: undefined };
      resolve();
    }
  }

  async #observed<T>(signal: AbortSignal, request: () => Promise<T>): Promise<T> {
    const period = this.#period;
    try {
      const value = await request();
      if (period === this.#period) this.#answered();
      return value;
    } catch (error) {
      if (period === this.#period) this.#ended(signal.aborted ? signal.reason : error, signal);
      throw error;
    }
  }

  /** @param error what it threw, or why it was given up */
  #ended(error: unknown, signal: AbortSignal): void {
    // Of a call that was given up only the one whose time was up tells something: that it was not answered in time.
    if (signal.aborted && !(error instanceof CallTimeoutError)) return;
    if (error instanceof InfrastructureError) this.#failed(error);
    else this.#answered();
  }

  #answered(): void {
    this.#failuresInRow = 0;
    if (this.#state.name === "closed") {
      this.#recent.add(1, 0);
      return;
    }
    this.#state = CLOSED;
    this.#period += 1;
    this.#opened = 0;
    this.#recent.clear();
    this.#context.waiting(undefined);
    this.#context.logger.info({ model: this.#model }, `model ${this.#model}: it answers again, the circuit is closed`);
  }

  #failed(error: InfrastructureError): void {
    this.#failuresInRow += 1;
    this.#recent.add(1, 1);
    const why = this.#state.name === "closed" ? this.#whyOpen() : this.#why;
    if (why !== undefined) this.#open(why, error);
  }

  #whyOpen(): string | undefined {
    const { failures, errorRate, calls } = this.#policy;
    if (this.#failuresInRow >= failures) return failures === 1 ? "a call failed" : `${failures} calls in a row failed`;
    const recent = this.#recent.sums();
    if (recent.all < calls || recent.failed <= errorRate * recent.all) return undefined;
    return `${recent.failed} of the last ${recent.all} calls failed`;
  }

  #open(why: string, error: InfrastructureError): void {
    const { clock, hide, random = Math.random } = this.#context;
    if (this.#opened === 0) this.#since = new Date(clock.now()).toISOString();
    this.#opened += 1;
    this.#why = why;
    const wait = waitBefore(this.#policy.wait / 1000, this.#opened, [error], random);
    this.#state = { name: "open", until: clock.elapsed() + wait };
    this.#period += 1;
    const last = shortened(messageOf(error), 300);
    const reason = `model ${this.#model}: the circuit is open since ${this.#since} because ${why}, the last one with: ${hide?.(last) ?? last}`;
    this.#context.waiting(reason);
    this.#context.logger.warn({ model: this.#model, wait }, reason);
  }

  #refusal(until: number): RetryableError {
    const retryAfter = Math.max(1, until - this.#context.clock.elapsed());
    return new RetryableError(`model ${this.#model}: not asked, since ${this.#why}; it is tried again in ${Math.ceil(retryAfter)} ms`, {
      retryAfter,
    });
  }
}
