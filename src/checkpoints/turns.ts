import { abortable } from "../abortable.ts";

/**
 * Runs work one after another. Who gives up is told at once, but what was begun may go on: the next one waits for it, so that a
 * late write can't undo a newer one.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Rejects with the signal's reason as soon as it aborts; work that has not begun by then never begins. */
  run<R>(signal: AbortSignal, work: () => Promise<R>): Promise<R> {
    const turn = this.#last.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return abortable(turn, signal);
  }
}

/** Calls `work` for every item, at most `most` at a time; rejects with the first failure when all that were begun have ended. */
export async function forEachOf<T>(items: Iterable<T>, most: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const next = async (): Promise<void> => {
    while (failures.length === 0) {
      const { done, value } = rest.next();
      if (done === true) return;
      try {
        await work(value);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: most }, next));
  if (failures.length > 0) throw failures[0];
}
