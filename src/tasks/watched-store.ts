import { isDeepStrictEqual } from "node:util";

import { sleep, within } from "../clock.ts";
import type { Logger } from "../contracts.ts";
import { messageOf } from "../errors.ts";
import { redact } from "../secrets.ts";
import type { StoreContents, TaskStore } from "./stores/store.ts";

/** The wait before a store that is away is tried again: doubling from the first to the last. Milliseconds. */
const BACK_OFF = { min: 1_000, max: 30_000 };

/** A task store with what was last read of it: what stays when the store is away. */
export class WatchedStore {
  readonly #store: TaskStore;
  readonly #logger: Logger;
  #contents: StoreContents = { tasks: [], faults: [] };
  #away: string | undefined;
  #known = false;
  #silent = false;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(store: TaskStore, logger: Logger) {
    this.#store = store;
    this.#logger = logger.child({ store: store.name });
  }

  get name(): string {
    return this.#store.name;
  }

  get contents(): StoreContents {
    return this.#contents;
  }

  /** Why the store can't be read; undefined when it can. */
  get away(): string | undefined {
    return this.#away ?? (this.#silent ? "it has given no answer yet" : undefined);
  }

  /** Whether its answer is not waited for any more. */
  get silent(): boolean {
    return this.#silent;
  }

  /** Whether it could be read once. */
  get known(): boolean {
    return this.#known;
  }

  /**
   * Reads the store, one read at a time.
   * @returns whether anything is different from before
   */
  read(signal: AbortSignal): Promise<boolean> {
    const reading = this.#reading.then(() => this.#readNow(signal));
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  /**
   * Reads the store, but waits no longer than `ms` milliseconds for it, if that is given.
   * @param late called when it was read after all
   */
  async readWithin(signal: AbortSignal, ms: number | undefined, late: () => void): Promise<void> {
    const reading = this.read(signal);
    if (await within(reading, ms)) return;
    if (!this.#silent) this.#logger.warn({}, "the task store gives no answer: its tasks stay as they are until it does");
    this.#silent = true;
    // Ended by the signal.
    reading.then(late, () => undefined);
  }

  async #readNow(signal: AbortSignal): Promise<boolean> {
    const { contents, away } = { contents: this.#contents, away: this.#away };
    try {
      this.#contents = await this.#store.read(signal);
      this.#known = true;
      this.#away = undefined;
      if (away !== undefined || this.#silent) this.#logger.info({}, "the task store can be read again");
    } catch (error) {
      signal.throwIfAborted();
      this.#away = redact(messageOf(error));
      if (away === undefined)
        this.#logger.warn({ reason: this.#away }, "the task store can't be read: its tasks stay as they are; trying again");
    } finally {
      this.#silent = false;
    }
    return this.#away !== away || !isDeepStrictEqual(this.#contents, contents);
  }

  /** Reads the store whenever it may have changed, until `signal` aborts. */
  async watch(signal: AbortSignal, changed: () => void): Promise<void> {
    const readAndTell = async () => {
      if (await this.read(signal)) changed();
    };
    try {
      await this.#untilBack(signal, readAndTell);
      for await (const _ of this.#store.changes(signal)) {
        await readAndTell();
        await this.#untilBack(signal, readAndTell);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #untilBack(signal: AbortSignal, readAndTell: () => Promise<void>): Promise<void> {
    for (let wait = BACK_OFF.min; this.#away !== undefined; wait = Math.min(wait * 2, BACK_OFF.max)) {
      await sleep(wait, signal);
      await readAndTell();
    }
  }
}
