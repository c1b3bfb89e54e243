import { onAbort } from "../on-abort.ts";

/** Runs what it is given one after the other, in the order of the calls. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Calls `work` when everything given before is done. When `signal` aborts before that, it rejects with the signal's reason
   * at once and never calls it: who gives up must not wait for those before.
   */
  run<R>(signal: AbortSignal, work: () => Promise<R>): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const giveUp = (): void => reject(signal.reason as Error);
      if (signal.aborted) {
        giveUp();
        return;
      }
      const unwatch = onAbort(signal, giveUp);
      this.#last = this.#last.then(async () => {
        unwatch();
        if (signal.aborted) return;
        await work().then(resolve, reject);
      });
    });
  }

  /** Settles when all that was given is done. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
