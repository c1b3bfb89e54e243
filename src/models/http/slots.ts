import { onAbort } from "../../on-abort.ts";

/** A number of places for work under way. Who finds none free waits for its turn, in the order of asking. */
export class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(places: number) {
    this.#free = places;
  }

  /**
   * Does the work in a place.
   * Rejects with the signal's reason when it aborts before there is one.
   */
  async use<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#release();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const given = () => {
        unwatch();
        resolve();
      };
      const abort = () => {
        this.#waiting.delete(given);
        reject(signal.reason as Error);
      };
      this.#waiting.add(given);
      const unwatch = onAbort(signal, abort);
    });
  }

  /** Gives the place to the one that has waited longest. */
  #release(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
