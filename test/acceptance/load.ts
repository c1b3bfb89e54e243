import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { keyedBids } from "./bids.ts";

type KeyedBid = ReturnType<typeof keyedBids> extends Generator<infer Event> ? Event : never;

/** Writes bids at a steady rate until it is ended. */
export class Load {
  #ended = false;
  #count = 0;
  readonly #rate: number;
  readonly #writing: Promise<void>;

  /**
   * @param rate events per second
   * @param write settles when all that it was given is written
   */
  constructor(t: TestContext, rate: number, write: (events: AsyncIterable<KeyedBid>) => Promise<void>) {
    this.#rate = rate;
    this.#writing = write(this.#events());
    // An error is met by `end`.
    this.#writing.catch(() => undefined);
    t.after(() => {
      this.#ended = true;
    });
  }

  /** Gives how many there were, when all are written. */
  async end(): Promise<number> {
    this.#ended = true;
    await this.#writing;
    return this.#count;
  }

  async *#events(): AsyncGenerator<KeyedBid> {
    const begin = performance.now();
    while (!this.#ended) {
      const due = Math.floor(((performance.now() - begin) / 1000) * this.#rate);
      yield* keyedBids(this.#count, due);
      this.#count = Math.max(this.#count, due);
      await delay(10);
    }
  }
}
