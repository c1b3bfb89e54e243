import type { Event } from "../../batch.ts";
import type { RunContext, Tries } from "../../contracts.ts";
import { InfrastructureError, MillraceError, ModelError } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import type { AttemptFunction, CallPolicy, Retried } from "../call.ts";
import { callWithPolicy } from "../call.ts";
import type { Ask, Asking } from "../infer.ts";
import { asEvent } from "../map-async.ts";
import type { FailedRow } from "../portions.ts";
import { mayPass } from "../retry.ts";
import type { Answerer } from "./answerer.ts";
import { inOrder } from "./answerer.ts";
import { checkRows, FailedOutput, RowCountError } from "./answers.ts";
import { markAnswered } from "./model-header.ts";

/** What becomes of a call that fails as a whole: the events at fault are looked for, half by half, or all of its rows have failed. */
export type Search = "search" | "no search";

/** Answers by one model or function, with the attempts of a policy. */
export class ModelAnswerer implements Answerer {
  readonly #policy: CallPolicy;
  readonly #asking: Asking;
  readonly #run: RunContext;
  readonly #maxSize: number;
  readonly #search: Search;

  /** @param limits `maxSize`: the most rows of a call; default as many as are given. `search`: default "search" */
  constructor(
    policy: CallPolicy,
    asking: Asking,
    run: RunContext,
    { maxSize = Number.POSITIVE_INFINITY, search = "search" }: { readonly maxSize?: number; readonly search?: Search } = {},
  ) {
    this.#policy = policy;
    this.#asking = asking;
    this.#run = run;
    this.#maxSize = maxSize;
    this.#search = search;
  }

  answer(events: Event[], rows: readonly number[]): Promise<readonly FailedRow[]> {
    return rows.length <= this.#maxSize ? this.#call(events, rows) : this.#callInParts(events, rows);
  }

  async #callInParts(events: Event[], rows: readonly number[]): Promise<readonly FailedRow[]> {
    const calls: Promise<readonly FailedRow[]>[] = [];
    for (let first = 0; first < rows.length; first += this.#maxSize)
      calls.push(this.#call(events, rows.slice(first, first + this.#maxSize)));
    return (await Promise.all(calls)).flat();
  }

  async #call(events: Event[], rows: readonly number[]): Promise<readonly FailedRow[]> {
    const call = new Rows({ policy: this.#policy, ask: this.#asking.ask, events, search: this.#search }, this.#run);
    await call.do(rows, "all");
    return inOrder(call.failed);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#asking[Symbol.dispose]();
    return Promise.resolve();
  }
}

interface Answered {
  readonly outputs: ArrayLike<unknown>;
  readonly identity: ModelIdentity | undefined;
}

/** The rows of one call, and those of them that could not be done. */
class Rows {
  readonly #policy: CallPolicy;
  readonly #ask: Ask;
  readonly #events: Event[];
  readonly #search: Search;
  readonly #run: RunContext;
  readonly failed: FailedRow[] = [];

  constructor(
    parts: { readonly policy: CallPolicy; readonly ask: Ask; readonly events: Event[]; readonly search: Search },
    run: RunContext,
  ) {
    const { policy, ask, events, search } = parts;
    this.#policy = policy;
    this.#events = events;
    this.#search = search;
    this.#run = run;
    this.#ask = ask;
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
        const done = this.#put(row, outputs[index], { identity, tries: together(before, tries) }, refused);
        if (done && identity !== undefined) markAnswered(this.#events[row] as Event, identity);
      }
      const hopeful = refused.filter(({ error }) => mayPass(error));
      // What can't pass is over; the others are the rows of the next attempt, and are over only if there is none.
      this.failed.push(...refused.filter(({ error }) => !mayPass(error)));
      refused = hopeful;
      pending = hopeful.map(({ index }) => index);
      return hopeful.map(({ error }) => error);
    };
    // The number of rows is checked inside the attempt, so that a wrong answer is tried again like any other failure. Made here, and kept in
    // no field: see ARCHITECTURE.md on what V8 keeps.
    const ask: AttemptFunction<readonly number[], Answered> = (asked, attempt) => {
      const events = asked.map((row) => this.#events[row] as Event);
      return this.#ask(events, attempt).then(({ outputs, identity }) => ({ outputs: checkRows(outputs, events.length), identity }));
    };
    const called = await callWithPolicy(this.#policy, ask, () => pending, this.#run, { retried, again });
    if (called.how === "answered") this.failed.push(...refused);
    else await this.#failedAsOne(pending, called.error, together(before, called.tries));
  }

  /**
   * A call that failed as a whole: where one of its events is at fault it is looked for, half by half. Without a policy that goes
   * on behind it, only the first one.
   */
  async #failedAsOne(rows: readonly number[], error: unknown, tries: Tries): Promise<void> {
    const whole = this.#search === "no search" || error instanceof InfrastructureError || error instanceof RowCountError;
    if (rows.length === 1 || whole) {
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
  #put(
    index: number,
    output: unknown,
    { identity, tries }: Pick<Answered, "identity"> & Pick<FailedRow, "tries">,
    refused: FailedRow[],
  ): boolean {
    if (output instanceof FailedOutput) {
      refused.push({ index, error: toldBy(identity, output.error), tries });
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

/** A row's error with the name of the model that gave it, as what a model throws has it. */
function toldBy(identity: ModelIdentity | undefined, error: unknown): unknown {
  return identity === undefined || error instanceof MillraceError ? error : new ModelError(identity, error);
}

/** How often an event was part of a call, over several calls. */
function together(before: Tries | undefined, tries: Tries): Tries {
  return before === undefined ? tries : { attempts: before.attempts + tries.attempts, first: before.first, last: tries.last };
}
