/** Runs what it is given one after the other, in the order of the calls. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();

  run<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Settles when all that was given is done. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
