import { setImmediate } from "node:timers/promises";

/** How long a source may go on without letting the event loop turn, in milliseconds. */
const BREATHLESS = 5;

/**
 * Lets the event loop turn from time to time, for sources that never wait for anything: without it, a pipeline that does
 * not wait either would hold up every other pipeline, timer and message of the process.
 */
export class Breather {
  #last = performance.now();

  /** To be called between batches. */
  async breathe(): Promise<void> {
    if (performance.now() - this.#last < BREATHLESS) return;
    await setImmediate();
    this.#last = performance.now();
  }
}
