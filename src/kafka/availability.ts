import type { Logger } from "../contracts.ts";

/** Tells the operator when something stops working and when it works again: one reason to wait for, one log line for each change. */
export class Availability {
  readonly #what: string;
  readonly #logger: Logger;
  readonly #waiting: (reason: string | undefined) => void;
  readonly #troubles = new Map<string, string>();

  /** @param what what can't be worked with meanwhile, for the log */
  constructor(what: string, logger: Logger, waiting: (reason: string | undefined) => void) {
    this.#what = what;
    this.#logger = logger;
    this.#waiting = waiting;
  }

  /** @param part what fails: several parts can fail at the same time */
  down(part: string, reason: string): void {
    const first = this.#troubles.size === 0;
    if (this.#troubles.get(part) === reason) return;
    this.#troubles.set(part, reason);
    if (first) this.#logger.warn({ reason }, `${this.#what} waits: ${reason}`);
    this.#waiting(reason);
  }

  up(part: string): void {
    if (!this.#troubles.delete(part)) return;
    const [left] = this.#troubles.values();
    this.#waiting(left);
    if (left === undefined) this.#logger.info({}, `${this.#what} goes on`);
  }
}
