import type { Event } from "../batch.ts";
import type { RunContext, Step, Tries } from "../contracts.ts";
import { InfrastructureError, PlanError } from "../errors.ts";
import type { CallFunction, CallOptions, CallPolicy, Retried } from "./call.ts";
import { callWithPolicy } from "./call.ts";
import { asEvent } from "./map-async.ts";
import type { FailedRow } from "./ordered-calls.ts";
import { orderedCalls } from "./ordered-calls.ts";
import { mayPass } from "./retry.ts";

/** Options of `infer`: those of `mapAsync`, and how many rows a call may have. */
export interface InferOptions extends CallOptions {
  readonly batch?:
    | {
        /** The most rows of one call; default 256. A call has what is there and never waits for more. */
        readonly maxSize?: number | undefined;
      }
    | undefined;
}

/** Rows per call where nothing is said: past 64 to 256 rows a call, small models gain little. */
const DEFAULT_ROWS = 256;

/** @throws PlanError when an option is out of its range */
export function rowsPerCall(step: string, options: InferOptions): number {
  const rows = options.batch?.maxSize ?? DEFAULT_ROWS;
  if (!Number.isInteger(rows) || rows < 1)
    throw new PlanError(`step "${step}": batch.maxSize must be a whole number, 1 or more (got ${rows})`);
  return rows;
}

type BatchModel = CallFunction<readonly unknown[], readonly unknown[]>;

/** A model over arrays of inputs: neighbouring events are given to it in one call, several calls at a time, results in input order. */
export function inferStep(policy: CallPolicy, rows: number, model: BatchModel): Step<unknown, unknown> {
  return (input, run) =>
    orderedCalls(input, run, { step: policy.step, size: rows, limit: policy.maxInFlight }, (events) =>
      callModel(policy, model, events, run),
    );
}

/** Does the rows of one call, and gives those that could not be done, in rising order. */
async function callModel(policy: CallPolicy, model: BatchModel, events: Event[], run: RunContext): Promise<readonly FailedRow[]> {
  const rows = new Rows(policy, model, events, run);
  await rows.do(
    events.map((_, index) => index),
    "all",
  );
  return rows.failed.toSorted((a, b) => a.index - b.index);
}

class Rows {
  readonly #policy: CallPolicy;
  readonly #model: BatchModel;
  readonly #events: Event[];
  readonly #run: RunContext;
  readonly failed: FailedRow[] = [];

  constructor(policy: CallPolicy, model: BatchModel, events: Event[], run: RunContext) {
    this.#policy = policy;
    this.#events = events;
    this.#run = run;
    // The number of rows is checked inside the attempt, so that a wrong answer is tried again like any other failure.
    this.#model = async (inputs, context) => checkRows(await model(inputs, context), inputs.length);
  }

  /**
   * Calls the model with these rows, and again with those of them that may pass yet.
   * @param before how often they were part of a call that failed as a whole
   */
  async do(rows: readonly number[], retried: Retried, before?: Tries): Promise<void> {
    let pending = rows;
    let refused: FailedRow[] = [];
    const again = (outputs: readonly unknown[], tries: Tries): readonly unknown[] => {
      refused = [];
      for (let index = 0; index < pending.length; index++)
        this.#put(pending[index] as number, outputs[index], together(before, tries), refused);
      const hopeful = refused.filter(({ error }) => mayPass(error));
      // What can't pass is over; the others are the rows of the next attempt, and are over only if there is none.
      this.failed.push(...refused.filter(({ error }) => !mayPass(error)));
      refused = hopeful;
      pending = hopeful.map(({ index }) => index);
      return hopeful.map(({ error }) => error);
    };
    const called = await callWithPolicy(this.#policy, this.#model, () => this.#inputs(pending), this.#run, { retried, again });
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

  #inputs(rows: readonly number[]): readonly unknown[] {
    const events = rows.map((row) => this.#events[row] as Event);
    return this.#policy.argument === "event" ? events : events.map((event) => event.value);
  }

  #put(index: number, output: unknown, tries: Tries, refused: FailedRow[]): void {
    if (output instanceof FailedOutput) {
      refused.push({ index, error: output.error, tries });
      return;
    }
    if (this.#policy.argument === "value") {
      (this.#events[index] as Event).value = output;
      return;
    }
    try {
      this.#events[index] = asEvent(output);
    } catch (error) {
      this.failed.push({ index, error, tries });
    }
  }
}

/** How often an event was part of a call, over several calls. */
function together(before: Tries | undefined, tries: Tries): Tries {
  return before === undefined ? tries : { attempts: before.attempts + tries.attempts, first: before.first, last: tries.last };
}

/** What stands in the place of a result that a model could not give. */
class FailedOutput {
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
class RowCountError extends TypeError {
  override readonly name = "RowCountError";
}

function checkRows(outputs: unknown, rows: number): readonly unknown[] {
  if (!isRows(outputs)) throw new RowCountError(`the model must return an array with one result for each of its ${rows} inputs`);
  if (outputs.length !== rows) throw new RowCountError(`the model returned ${outputs.length} results for ${rows} inputs`);
  return outputs;
}

/** An array, or a typed array with a number for each row. */
function isRows(outputs: unknown): outputs is readonly unknown[] {
  return Array.isArray(outputs) || (ArrayBuffer.isView(outputs) && "length" in outputs);
}
