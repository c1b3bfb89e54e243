import type { Clock } from "../clock.ts";
import type { NatsLink } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import type { Amount } from "./demand.ts";
import type { PullTarget, PullTrouble } from "./pull.ts";
import { PullSubscription } from "./pull.ts";

/** The limits of one batch, of the contract of sources. */
const BATCH: Amount = { messages: 1024, bytes: 1024 * 1024 };
/** How often an idle partition yields, in milliseconds. */
const IDLE = 5000;

/** The deliveries of one pull consumer, in batches. */
export class Feed implements AsyncDisposable {
  readonly #pull: PullSubscription;
  readonly #clock: Clock;
  readonly #recover: (trouble: PullTrouble) => Promise<void>;
  #pending = 0;
  #closed = false;

  /** @param recover makes the consumer usable again, or throws; then the feed starts anew */
  constructor(link: NatsLink, target: PullTarget, limits: Amount, clock: Clock, recover: (trouble: PullTrouble) => Promise<void>) {
    this.#pull = new PullSubscription(link, target, limits, clock);
    this.#clock = clock;
    this.#recover = recover;
  }

  /** How many messages waited in the server after the last one that was given. */
  get pending(): number {
    return this.#pending;
  }

  /** What has arrived and was not yet given. */
  arrived(): Iterable<Delivery> {
    return this.#pull.arrived();
  }

  /** Gives what is there, and nothing every five seconds while nothing is there. Ends when `stop` aborts or it is closed. */
  async *read(stop: AbortSignal): AsyncGenerator<readonly Delivery[]> {
    for (let given = this.#clock.elapsed(); !stop.aborted && !this.#closed;) {
      const deliveries = this.#take();
      if (deliveries.length === 0) {
        const { trouble } = this.#pull;
        if (trouble !== undefined) {
          await this.#recover(trouble);
          this.#pull.restart();
        }
        await this.#pull.wait(Math.max(1, given + IDLE - this.#clock.elapsed()), stop);
        if (this.#clock.elapsed() < given + IDLE || stop.aborted || this.#closed) continue;
      }
      this.#pending = deliveries.at(-1)?.pending ?? this.#pending;
      given = this.#clock.elapsed();
      yield deliveries;
    }
  }

  /** Stops asking, and gives what has arrived and what is on its way. */
  async *rest(): AsyncGenerator<readonly Delivery[]> {
    await this.#pull.finish();
    await this.close();
    for (let deliveries = this.#take(); deliveries.length > 0; deliveries = this.#take()) yield deliveries;
  }

  /** Stops asking. @returns what has arrived and was not given */
  close(): Promise<readonly Delivery[]> {
    this.#closed = true;
    return this.#pull.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #take(): readonly Delivery[] {
    return this.#pull.take(BATCH.messages, BATCH.bytes);
  }
}
