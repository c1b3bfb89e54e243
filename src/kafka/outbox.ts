/** Hands things from whoever makes them to the one loop that takes them. Unbounded: for few things, such as partitions. */
export class Outbox<T> {
  readonly #items: T[] = [];
  #closed = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  put(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** Takes back what nobody has taken yet. */
  withdraw(): T[] {
    return this.#items.splice(0);
  }

  /** Ends the loop, or makes it throw. What is in the box is not taken any more. */
  close(failure?: unknown): void {
    this.#closed = true;
    this.#failure ??= failure;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      if (this.#closed) {
        if (this.#failure !== undefined) throw this.#failure as Error;
        return;
      }
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
