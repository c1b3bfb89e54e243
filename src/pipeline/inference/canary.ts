import type { Event } from "../../batch.ts";
import type { RunContext } from "../../contracts.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import type { FailedRow } from "../portions.ts";
import type { Answerer } from "./answerer.ts";
import { inOrder } from "./answerer.ts";
import type { CanaryJudge } from "./canary-judge.ts";

/** What a CanaryAnswerer is made of. */
export interface CanaryParts {
  readonly first: Answerer;
  readonly canary: Answerer;
  readonly judge: CanaryJudge;
  readonly isChosen: (event: Event) => boolean;
  /** What the canary is now; undefined for a function. */
  readonly identity: () => ModelIdentity | undefined;
}

const NONE: readonly FailedRow[] = [];

/** Has a share of the rows answered by another model, and by the first where that fails. */
export class CanaryAnswerer implements Answerer {
  readonly #parts: CanaryParts;
  readonly #run: RunContext;

  constructor(parts: CanaryParts, run: RunContext) {
    this.#parts = parts;
    this.#run = run;
  }

  async answer(events: Event[], rows: readonly number[]): Promise<readonly FailedRow[]> {
    const { first, canary, judge, isChosen } = this.#parts;
    const identity = this.#parts.identity();
    if (!judge.mayTry(identity)) return await first.answer(events, rows);
    const chosen: number[] = [];
    const others: number[] = [];
    for (const row of rows) (isChosen(events[row] as Event) ? chosen : others).push(row);
    if (chosen.length === 0) return await first.answer(events, others);
    const [ofOthers, refused] = await Promise.all([
      others.length === 0 ? NONE : first.answer(events, others),
      canary.answer(events, chosen),
    ]);
    const { counters } = this.#run;
    counters.canaried += chosen.length - refused.length;
    counters.canaryFailed += refused.length;
    const again = refused.map(({ index }) => index);
    const ofAgain = again.length === 0 ? NONE : await first.answer(events, again);
    // What the first can't do either is no fault of the canary, nor is a call as a whole that has such a row.
    const blamed = ofAgain.length > 0 && refused.length === chosen.length ? 0 : refused.length - ofAgain.length;
    judge.heard(identity, chosen.length, blamed);
    return inOrder([...ofOthers, ...ofAgain]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _first = this.#parts.first;
    await this.#parts.canary[Symbol.asyncDispose]();
  }
}
