import { abortable } from "../abortable.ts";
import { sleep } from "../clock.ts";
import type { OpenContext } from "../contracts.ts";
import { InfrastructureError, messageOf } from "../errors.ts";

const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 10_000;

/** Waits out the outages of the system behind a sink, and tells the operator once when one begins and once when it ends. */
export class Outage {
  readonly #system: string;
  readonly #context: OpenContext;
  #reason: string | undefined;

  /** @param system what is written to, as the operator knows it; no secret */
  constructor(system: string, context: OpenContext) {
    this.#system = system;
    this.#context = context;
  }

  /**
   * Tries until it works, with back-off, as long as what is thrown is an InfrastructureError; anything else is thrown on.
   * Rejects with the signal's reason when it aborts, also while an attempt hangs: that one is left to itself.
   */
  async waitOut<R>(signal: AbortSignal, attempt: () => Promise<R>): Promise<R> {
    for (let wait = SHORTEST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      signal.throwIfAborted();
      try {
        const result = await abortable(attempt(), signal);
        this.#over();
        return result;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof InfrastructureError)) throw error;
        this.#began(messageOf(error));
        // Half of it at random, so that many tasks do not come back in step.
        await sleep(wait / 2 + Math.random() * (wait / 2), signal, this.#context.clock);
      }
    }
  }

  #began(reason: string): void {
    if (this.#reason === undefined) this.#context.logger.warn({ sink: this.#system, reason }, "the sink is away; waiting for it");
    if (this.#reason !== reason) this.#context.waiting(`sink ${this.#system}: ${reason}`);
    this.#reason = reason;
  }

  #over(): void {
    if (this.#reason === undefined) return;
    this.#reason = undefined;
    this.#context.waiting(undefined);
    this.#context.logger.info({ sink: this.#system }, "the sink is back");
  }
}
