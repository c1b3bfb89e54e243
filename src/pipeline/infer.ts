import type { Event, EventHeaders } from "../batch.ts";
import type { RunContext, Step, Tries } from "../contracts.ts";
import type { Duration } from "../duration.ts";
import { milliseconds } from "../duration.ts";
import { InfrastructureError, PlanError } from "../errors.ts";
import type { ModelIdentity } from "../model-stats.ts";
import type { Batching, PlannedModel } from "../model.ts";
import { MODEL_HEADER } from "../model.ts";
import type { Attempt, AttemptFunction, CallFunction, CallOptions, CallPolicy, Retried } from "./call.ts";
import { attemptsOf, callWithPolicy } from "./call.ts";
import { asEvent } from "./map-async.ts";
import type { FailedRow } from "./ordered-calls.ts";
import { orderedCalls } from "./ordered-calls.ts";
import { mayPass } from "./retry.ts";

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
    maxSize: wholeNumber(step, "batch.maxSize", batch.maxSize ?? DEFAULT_ROWS),
    maxDelay: milliseconds(batch.maxDelay ?? 0, `step "${step}": batch.maxDelay`),
    maxQueuedRows: wholeNumber(step, "batch.maxQueuedRows", batch.maxQueuedRows ?? DEFAULT_QUEUED_ROWS),
    maxQueuedBytes: wholeNumber(step, "batch.maxQueuedBytes", batch.maxQueuedBytes ?? DEFAULT_QUEUED_BYTES),
  };
}

function wholeNumber(step: string, option: string, given: number): number {
  if (!Number.isInteger(given) || given < 1)
    throw new PlanError(`step "${step}": ${option} must be a whole number, 1 or more (got ${given})`);
  return given;
}

/** What a step asks for the rows of a call. */
export interface Asked {
  readonly outputs: unknown;
  /** What answered: the same for all rows, or for each of them; undefined for a function, which has no name. */
  readonly identity: ModelIdentity | readonly ModelIdentity[] | undefined;
}

/** Asks once. The events are those of the rows, in order. */
export type Ask = (events: readonly Event[], attempt: Attempt) => Promise<Asked>;

/** What a step asks, as its partition's run begins; disposed of at its end. */
export interface Asking extends Disposable {
  readonly ask: Ask;
  /** How many calls may be under way now, where that is less at times than the step's `maxInFlight`. */
  readonly limit?: (() => number) | undefined;
}

/** A model over arrays of inputs: neighbouring events are given to it in one call, several calls at a time, results in input order. */
export function inferStep(policy: CallPolicy, rows: number, open: (run: RunContext) => Asking): Step<unknown, unknown> {
  return async function* infer(input, run) {
    using asking = open(run);
    yield* orderedCalls(input, run, { step: policy.step, size: rows, limit: asking.limit ?? policy.maxInFlight }, (events) =>
      callModel(policy, asking.ask, events, run),
    );
  };
}

/** An asynchronous function over arrays, in the pipeline itself. */
export function askFunction(policy: CallPolicy, fn: CallFunction<readonly unknown[], unknown>): (run: RunContext) => Asking {
  return (run) => {
    const attempt = attemptsOf(policy, fn, run);
    const ask: Ask = async (events, attempted) => ({
      outputs: await attempt(policy.argument === "event" ? events : events.map(valueOf), attempted),
      identity: undefined,
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

/** Does the rows of one call, and gives those that could not be done, in rising order. */
async function callModel(policy: CallPolicy, ask: Ask, events: Event[], run: RunContext): Promise<readonly FailedRow[]> {
  const rows = new Rows(policy, ask, events, run);
  await rows.do(
    events.map((_, index) => index),
    "all",
  );
  return rows.failed.toSorted((a, b) => a.index - b.index);
}

interface Answered {
  readonly outputs: ArrayLike<unknown>;
  readonly identity: Asked["identity"];
}

class Rows {
  readonly #policy: CallPolicy;
  readonly #ask: AttemptFunction<readonly number[], Answered>;
  readonly #events: Event[];
  readonly #run: RunContext;
  readonly failed: FailedRow[] = [];

  constructor(policy: CallPolicy, ask: Ask, events: Event[], run: RunContext) {
    this.#policy = policy;
    this.#events = events;
    this.#run = run;
    // The number of rows is checked inside the attempt, so that a wrong answer is tried again like any other failure.
    this.#ask = async (rows, attempt) => {
      const { outputs, identity } = await ask(
        rows.map((row) => events[row] as Event),
        attempt,
      );
      return { outputs: checkRows(outputs, rows.length), identity };
    };
  }

  /**
   * Calls the model with these rows, and again with those of them that may pass yet.
   * @param before how often they were part of a call that failed as a whole
   */
  async do(rows: readonly number[], retried: Retried, before?: Tries): Promise<void> {
    let pending = rows;
    let refused: FailedRow[] = [];
    const again = ({ outputs, identity }: Answered, tries: Tries): readonly unknown[] => {
      refused = [];
      for (let index = 0; index < pending.length; index++) {
        const row = pending[index] as number;
        if (!this.#put(row, outputs[index], together(before, tries), refused) || identity === undefined) continue;
        const by = Array.isArray(identity) ? (identity[index] as ModelIdentity) : (identity as ModelIdentity);
        markAnswered(this.#events[row] as Event, by);
      }
      const hopeful = refused.filter(({ error }) => mayPass(error));
      // What can't pass is over; the others are the rows of the next attempt, and are over only if there is none.
      this.failed.push(...refused.filter(({ error }) => !mayPass(error)));
      refused = hopeful;
      pending = hopeful.map(({ index }) => index);
      return hopeful.map(({ error }) => error);
    };
    const called = await callWithPolicy(this.#policy, this.#ask, () => pending, this.#run, { retried, again });
    if (called.how === "answered") this.failed.push(...refused);
    else await this.#failedAsOne(pending, called.error, together(before, called.tries));
  }

  /**
   * A call that failed as a whole: where one of its events is at fault it is looked for, half by half. Without a policy that goes
   * on behind it, only the first one.
   */
  async #failedAsOne(rows: readonly number[], error: unknown, tries: Tries): Promise<void> {
    if (rows.length === 1 || error instanceof InfrastructureError || error instanceof RowCountError) {
      for (const index of rows) this.failed.push({ index, error, tries });
      return;
    }
    const middle = Math.ceil(rows.length / 2);
    const before = this.failed.length;
    await this.do(rows.slice(0, middle), "infrastructure", tries);
    const found = this.failed.length > before;
    if (found && !this.#run.failures.canTake(this.#policy.step)) return;
    await this.do(rows.slice(middle), "infrastructure", tries);
  }

  /** Puts an output in its event's place. @returns whether there is one */
  #put(index: number, output: unknown, tries: Tries, refused: FailedRow[]): boolean {
    if (output instanceof FailedOutput) {
      refused.push({ index, error: output.error, tries });
      return false;
    }
    if (this.#policy.argument === "value") {
      (this.#events[index] as Event).value = output;
      return true;
    }
    try {
      this.#events[index] = asEvent(output);
      return true;
    } catch (error) {
      this.failed.push({ index, error, tries });
      return false;
    }
  }
}

/** The headers of results whose records had none, by what answered: most share one. */
const headersOf = new WeakMap<ModelIdentity, EventHeaders>();

/** Notes in the event's headers what answered. */
function markAnswered(event: Event, identity: ModelIdentity): void {
  let own = headersOf.get(identity);
  if (own === undefined) {
    own = Object.freeze([Object.freeze([MODEL_HEADER, `${identity.name}@${identity.version}`] as const)]);
    headersOf.set(identity, own);
  }
  event.headers = event.headers === undefined ? own : [...event.headers, ...own];
}

/** How often an event was part of a call, over several calls. */
function together(before: Tries | undefined, tries: Tries): Tries {
  return before === undefined ? tries : { attempts: before.attempts + tries.attempts, first: before.first, last: tries.last };
}

/** What stands in the place of a result that a model could not give. */
export class FailedOutput {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/**
 * In the answer of a model: this row failed. It alone is tried again, if the step has retries and the error is no DataError.
 * @returns to stand where the row's result would
 */
export function failed(error: unknown): never {
  // Typed as nothing, so that the results keep their type.
  return new FailedOutput(error) as never;
}

/** A model gave another number of results than it was given inputs, so nobody knows which is whose: a bug, of no event. */
export class RowCountError extends TypeError {
  override readonly name = "RowCountError";
}

/** @throws TypeError when there is not one output for each of so many inputs */
export function checkRows(outputs: unknown, rows: number): ArrayLike<unknown> {
  if (!isRows(outputs)) throw new RowCountError(`the model must return an array with one result for each of its ${rows} inputs`);
  if (outputs.length !== rows) throw new RowCountError(`the model returned ${outputs.length} results for ${rows} inputs`);
  return outputs;
}

/** An array, or a typed array with a number for each row. */
function isRows(outputs: unknown): outputs is ArrayLike<unknown> {
  return Array.isArray(outputs) || (ArrayBuffer.isView(outputs) && "length" in outputs);
}
