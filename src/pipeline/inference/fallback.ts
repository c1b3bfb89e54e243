import type { Event } from "../../batch.ts";
import type { RunContext } from "../../contracts.ts";
import { InfrastructureError, messageOf } from "../../errors.ts";
import type { FailedRow } from "../portions.ts";
import type { Answerer } from "./answerer.ts";
import { inOrder } from "./answerer.ts";
import { markAnswered } from "./model-header.ts";

/** What answers instead. */
export interface Substitute extends AsyncDisposable {
  /** @returns the rows that it could not do either, in rising order */
  answer(events: Event[], failed: readonly FailedRow[]): Promise<readonly FailedRow[]>;
}

/** Another model in the place of the first. */
export function otherModel(model: Answerer): Substitute {
  return {
    answer: (events, failed) =>
      model.answer(
        events,
        failed.map(({ index }) => index),
      ),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

/** Names a value where a model's name would stand. */
const VALUE = { name: "fallback", version: "value" };

/** A value in the place of an answer, or what a product's function makes of the input. */
export function standardValue(valueOf: (input: unknown, error: unknown) => unknown): Substitute {
  const answer = (events: Event[], failed: readonly FailedRow[]): readonly FailedRow[] => {
    const refused: FailedRow[] = [];
    for (const row of failed) {
      const event = events[row.index] as Event;
      try {
        event.value = valueOf(event.value, row.error);
        markAnswered(event, VALUE);
      } catch (error) {
        refused.push({ ...row, error });
      }
    }
    return refused;
  };
  return { answer: (events, failed) => Promise.resolve(answer(events, failed)), [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** Has rows that a model could not do answered by what is in its place. */
export class FallbackAnswerer implements Answerer {
  readonly #step: string;
  readonly #first: Answerer;
  readonly #substitute: Substitute;
  readonly #errors: "infrastructure" | "all";
  readonly #run: RunContext;
  /** Whether it was told that the substitute fails. */
  #told = false;

  constructor(
    step: string,
    parts: { readonly first: Answerer; readonly substitute: Substitute; readonly errors: "infrastructure" | "all" },
    run: RunContext,
  ) {
    this.#step = step;
    this.#first = parts.first;
    this.#substitute = parts.substitute;
    this.#errors = parts.errors;
    this.#run = run;
  }

  async answer(events: Event[], rows: readonly number[]): Promise<readonly FailedRow[]> {
    const failed = await this.#first.answer(events, rows);
    if (failed.length === 0) return failed;
    const taken = failed.filter(({ error }) => this.#errors === "all" || error instanceof InfrastructureError);
    if (taken.length === 0) return failed;
    const left = await this.#substitute.answer(events, taken);
    this.#run.counters.fellBack += taken.length - left.length;
    this.#tell(left);
    // What becomes of an event goes by what the model itself said.
    const leftOver = new Set(left.map(({ index }) => index));
    return inOrder(failed.filter((row) => !taken.includes(row) || leftOver.has(row.index)));
  }

  #tell([failed]: readonly FailedRow[]): void {
    if (failed !== undefined && !this.#told)
      this.#run.logger.warn({ step: this.#step, reason: messageOf(failed.error) }, "the fallback of a model fails too");
    this.#told = failed !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _first = this.#first;
    await this.#substitute[Symbol.asyncDispose]();
  }
}
