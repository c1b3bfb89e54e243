import type { Clock } from "../../clock.ts";
import { sleep } from "../../clock.ts";
import type { Logger } from "../../contracts.ts";
import { InfrastructureError, messageOf, OwnershipLostError } from "../../errors.ts";

/** The first and the longest wait before a store is asked again, in milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5000;

/** Asks a store of checkpoints until it answers, telling the operator when it is away and when it is back. */
export class StorePatience {
  readonly #partition: string;
  readonly #signal: AbortSignal;
  readonly #patient: AbortSignal;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #waiting: (reason: string | undefined) => void;
  readonly #givenUp = new AbortController();
  #reason: string | undefined;

  /**
   * @param signal ends the waiting with its reason
   * @param waiting told why the partition can't save, and undefined when it can again
   */
  constructor(
    partition: string,
    context: { readonly signal: AbortSignal; readonly clock: Clock; readonly logger: Logger; waiting(reason: string | undefined): void },
  ) {
    this.#partition = partition;
    this.#signal = context.signal;
    this.#clock = context.clock;
    this.#logger = context.logger;
    this.#waiting = (reason) => context.waiting(reason);
    this.#patient = AbortSignal.any([context.signal, this.#givenUp.signal]);
  }

  /** Whether the store did not answer when it was asked last. */
  get isWaiting(): boolean {
    return this.#reason !== undefined;
  }

  /** From now on nothing is asked twice: what fails, fails. */
  giveUp(): void {
    this.#givenUp.abort(new InfrastructureError("the store of checkpoints is not waited for any more"));
  }

  /**
   * What the store answers. Rejects with what is no outage, and with the signal's reason; where another has claimed the partition with
   * an InfrastructureError: the source may still count it as ours, and then it is to be opened anew, and claimed again.
   */
  async until<R>(ask: (signal: AbortSignal) => Promise<R>): Promise<R> {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        this.#signal.throwIfAborted();
        const answer = await ask(this.#signal);
        this.#tell(undefined);
        return answer;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error instanceof OwnershipLostError) {
          const what = `${this.#partition}: another instance has taken its checkpoints over: ${messageOf(error)}`;
          throw new InfrastructureError(what, { cause: error });
        }
        if (!(error instanceof InfrastructureError)) throw error;
        this.#tell(messageOf(error));
        await sleep(pause, this.#patient, this.#clock);
      }
    }
  }

  #tell(reason: string | undefined): void {
    if ((reason === undefined) === (this.#reason === undefined)) return;
    this.#reason = reason;
    if (reason === undefined) this.#logger.info({ partition: this.#partition }, "checkpoints can be saved again");
    else this.#logger.warn({ partition: this.#partition, reason }, "checkpoints can't be saved; waiting");
    this.#waiting(reason === undefined ? undefined : `checkpoints of ${this.#partition}: ${reason}`);
  }
}
