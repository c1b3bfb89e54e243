import type { Batch, Event, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import type { Failures, RunContext } from "../contracts.ts";
import type { Failure, HandlerAnswer, HandlerPolicy, PlannedHandlerSteps } from "./error-handler.ts";
import type { ErrorAction } from "./error-policy.ts";
import { isHandler } from "./error-policy.ts";
import type { Handled, WaitingFailure } from "./failure-queue.ts";
import { FailureQueue, inlet } from "./failure-queue.ts";
import type { Plan, PlannedStep } from "./plan.ts";

/** Calls of handlers under way at a time. */
const MOST_CALLS = 8;

/** Puts steps behind an input, as for the pipeline itself. */
export type Chain = (steps: readonly PlannedStep[], input: AsyncIterable<Batch>, run: RunContext) => AsyncIterable<Batch>;

/** What the handlers of one partition need of its desk. */
export interface HandlerDesk {
  /** Does what a handler said, or what stands for one that failed (undefined). @throws as `Failures.take` */
  conclude(failure: WaitingFailure, action: ErrorAction | undefined): void;
  /** For the steps of handlers: their own failures are not handled again. */
  readonly afterHandler: Failures;
}

/** The events that wait for error handlers, by the place where they go on. */
export class Handlers {
  readonly #plan: Plan;
  readonly #desk: HandlerDesk;
  /** By the index of the step before which they go on; behind the last step is that of the sinks. */
  readonly #queues = new Map<number, FailureQueue>();
  readonly #ofSinks = new FailureQueue();
  readonly #policies = new Map<WaitingFailure, HandlerPolicy | PlannedHandlerSteps>();
  readonly #barriers = new Map<number, Position>();

  constructor(plan: Plan, desk: HandlerDesk) {
    this.#plan = plan;
    this.#desk = desk;
    const places = [-1, ...plan.steps.keys()];
    for (const index of places) {
      const policy = index === -1 ? plan.onError : (plan.steps[index]?.onError ?? plan.onError);
      if (isHandler(policy)) this.#queues.set(this.#target(index, policy), new FailureQueue());
    }
  }

  /** @param index that of the step which failed; -1 for the source, undefined for a sink */
  add(failure: WaitingFailure, policy: HandlerPolicy | PlannedHandlerSteps, index: number | undefined): void {
    this.#policies.set(failure, policy);
    const queue = index === undefined ? this.#ofSinks : this.#queues.get(this.#target(index, policy));
    (queue ?? this.#ofSinks).add(failure);
  }

  /** Where events go on, by the index of the step before which that is. */
  inlets(run: RunContext, chain: Chain): ReadonlyMap<number, (input: AsyncIterable<Batch>) => AsyncIterable<Batch>> {
    const handle = (failures: readonly WaitingFailure[]) => this.#handle(failures, run, chain);
    const positionOf = (barrier: number) => this.#barriers.get(barrier);
    type Inlet = (input: AsyncIterable<Batch>) => AsyncIterable<Batch>;
    const inlets = new Map<number, Inlet>(
      Array.from(this.#queues, ([index, queue]) => [index, (input) => inlet(input, queue, handle, positionOf)]),
    );
    for (const [before, { kind }] of this.#plan.steps.entries()) {
      const index = before + 1;
      const queues = [...this.#queues].flatMap(([target, queue]) => (target >= index ? [queue] : []));
      if (kind !== "timeBy" || queues.length === 0) continue;
      const behind = inlets.get(index);
      inlets.set(index, (input) => behind?.(stamped(input, queues)) ?? stamped(input, queues));
    }
    return inlets;
  }

  /** Passes the source's batches on, and remembers how far it had read at each barrier. */
  async *watched(input: AsyncIterable<Batch>): AsyncGenerator<Batch> {
    for await (const batch of input) {
      if (batch.barrier !== undefined) {
        this.#barriers.set(batch.barrier.number, batch.position);
        // Few are under way at a time.
        for (const number of this.#barriers.keys()) if (number < batch.barrier.number - 64) this.#barriers.delete(number);
      }
      yield batch;
    }
  }

  get waitForSinks(): boolean {
    return this.#ofSinks.size > 0;
  }

  get used(): boolean {
    return this.#queues.size > 0 || isHandler(this.#plan.onError);
  }

  /** Handles what sinks have refused: there is no step behind them, so nothing goes on. Throws what ends the pipeline. */
  async handleOfSinks(run: RunContext, chain: Chain): Promise<void> {
    const failures = this.#ofSinks.takeBefore();
    const { events, end } = await this.#handle(failures, run, chain);
    if (end !== undefined) throw end.thrown;
    // A value can go nowhere from there.
    for (const { event, ...failure } of failures) {
      if (events.includes(event)) this.#desk.conclude({ ...failure, event }, undefined);
    }
  }

  #target(index: number, { into }: { readonly into?: string | undefined }): number {
    const target = this.#plan.steps.findIndex(({ name }) => name === into);
    return target > index ? target : index + 1;
  }

  async #handle(failures: readonly WaitingFailure[], run: RunContext, chain: Chain): Promise<Handled> {
    const events: Event[] = [];
    for (let first = 0; first < failures.length; first += MOST_CALLS) {
      const some = failures.slice(first, first + MOST_CALLS);
      const outcomes = await Promise.all(some.map((failure) => this.#handleOne(failure, run, chain)));
      run.signal.throwIfAborted();
      for (const [index, outcome] of outcomes.entries()) {
        const failure = some[index] as WaitingFailure;
        try {
          events.push(...this.#outcomeOf(failure, outcome));
        } catch (thrown) {
          return { events, end: { at: failure.event, thrown } };
        }
      }
    }
    return { events };
  }

  async #handleOne(failure: WaitingFailure, run: RunContext, chain: Chain): Promise<Outcome> {
    const policy = this.#policies.get(failure);
    this.#policies.delete(failure);
    const { event, error, step, tries } = failure;
    const given: Failure = { event, error, step, attempts: tries?.attempts ?? 1 };
    try {
      if (policy !== undefined && "handle" in policy) return { answer: await policy.handle(given) };
      return { events: await this.#throughSteps(given, policy?.handlerSteps ?? [], run, chain) };
    } catch (thrown) {
      return { thrown };
    }
  }

  async #throughSteps(failure: Failure, steps: readonly PlannedStep[], run: RunContext, chain: Chain): Promise<readonly Event[]> {
    const { event } = failure;
    const input = (async function* (): AsyncGenerator<Batch> {
      yield { events: [{ ...event, value: failure }], position: event.offset + 1, watermark: NO_WATERMARK };
    })();
    const results: Event[] = [];
    for await (const { events } of chain(steps, input, { ...run, failures: this.#desk.afterHandler })) results.push(...events);
    return results;
  }

  #outcomeOf(failure: WaitingFailure, outcome: Outcome): readonly Event[] {
    if ("events" in outcome) return outcome.events;
    const answer = "thrown" in outcome ? undefined : outcome.answer;
    if (typeof answer === "object" && answer !== null && "value" in answer) {
      failure.event.value = answer.value;
      return [failure.event];
    }
    if (answer === "skip" || answer === "deadLetter" || answer === "fail") this.#desk.conclude(failure, answer);
    else {
      const what = 'the error handler must return { value }, "skip", "deadLetter" or "fail"';
      this.#desk.conclude({ ...failure, error: "thrown" in outcome ? outcome.thrown : new TypeError(what) }, undefined);
    }
    return [];
  }
}

/** Event times are set in these batches. */
async function* stamped(input: AsyncIterable<Batch>, queues: readonly FailureQueue[]): AsyncGenerator<Batch> {
  for await (const batch of input) {
    for (const queue of queues) queue.stamp(batch);
    yield batch;
  }
}

type Outcome = { readonly answer: HandlerAnswer } | { readonly events: readonly Event[] } | { readonly thrown: unknown };
