import type { Event } from "../../batch.ts";
import type { FailedRow } from "../portions.ts";

/**
 * Answers the rows of calls for one partition's step: puts each output in the place of its event's value. What is put together of
 * others, such as a model and what stands in for it, is one as well.
 */
export interface Answerer extends AsyncDisposable {
  /**
   * Answers some of the events.
   * @param rows their indexes, in rising order
   * @returns those that could not be done, in rising order, with their values as they were
   * Rejects with the reason of the run's signal, and never else.
   */
  answer(events: Event[], rows: readonly number[]): Promise<readonly FailedRow[]>;
}

/** Rows in the order of their events. */
export function inOrder(failed: readonly FailedRow[]): readonly FailedRow[] {
  return failed.length < 2 ? failed : failed.toSorted((a, b) => a.index - b.index);
}
