import type { Batch, Position } from "../batch.ts";
import type { Clock } from "../clock.ts";
import type { CommitRights, Failures, Logger, Partition } from "../contracts.ts";
import { messageOf } from "../errors.ts";
import type { TransactionalProducer } from "./transaction.ts";

/** How long a transaction takes in what is written, in milliseconds: what readers of committed records wait at most, and the brokers' work for each is shared by all its records. */
export const COMMIT_EVERY = 200;

/** What the transactions of a partition are made of. */
export interface TransactionParts {
  readonly rights: CommitRights;
  readonly producer: Pick<TransactionalProducer, "begin" | "commit" | "abort">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts when nothing is to be waited for any more. */
  readonly over: AbortSignal;
}

/**
 * A partition whose positions are committed together with what is written for it. Before it is read its transactional id is
 * taken over, so that nothing of a former owner can still become visible behind the position that is read then.
 *
 * A transaction may only end where everything written in it is before the position: else its results would be made once more.
 * After any failure nothing is committed but what was; the read fails, and the partition is to be opened anew.
 */
export class TransactionalPartition implements Partition {
  readonly #partition: Partition;
  readonly #parts: TransactionParts;
  readonly #closed = new AbortController();
  /** Everything before it is done, as the pipeline says. */
  #done: Position = -1;
  #committed: Position = -1;
  /** The highest position of an event that was written, or may have been. */
  #written: Position = -1;
  #writing = 0;
  #ending: Promise<void> | undefined;
  /** The time for the transaction is over: it ends at the next place where it may. */
  #due = false;
  #cancelTimer: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(partition: Partition, parts: TransactionParts) {
    this.#partition = partition;
    this.#parts = parts;
  }

  get name(): string {
    return this.#partition.name;
  }

  get signal(): AbortSignal {
    return this.#partition.signal;
  }

  async *read(from: Position | undefined, failures?: Failures): AsyncGenerator<Batch, void, undefined> {
    await this.#parts.producer.begin(AbortSignal.any([this.#parts.over, this.#closed.signal]));
    yield* this.#partition.read(from, failures);
    this.#throwFailure();
  }

  /**
   * Writes in the present transaction.
   * @param last the highest position of an event that is written
   */
  async write(last: Position, send: () => Promise<void>): Promise<void> {
    while (this.#ending !== undefined) await this.#ending.catch(() => undefined);
    this.#throwFailure();
    this.#written = Math.max(this.#written, last);
    this.#startTimer();
    this.#writing++;
    try {
      await send();
    } catch (error) {
      // What of it was written is not known.
      this.#fail(error);
      throw error;
    } finally {
      this.#writing--;
    }
  }

  async commit(position: Position): Promise<void> {
    this.signal.throwIfAborted();
    this.#throwFailure();
    if (position <= this.#done) return;
    this.#done = position;
    this.#startTimer();
    if (this.#due) await this.#end();
  }

  /** Ends the transaction, if this is a place for it; else that is tried again at the next position. */
  async #end(): Promise<void> {
    if (this.#ending === undefined && this.#mayEnd()) {
      this.#ending = this.#finish(this.#done).finally(() => (this.#ending = undefined));
    }
    await this.#ending;
  }

  #mayEnd(): boolean {
    return this.#failure === undefined && this.#writing === 0 && this.#done > this.#written && this.#done > this.#committed;
  }

  async #finish(position: Position): Promise<void> {
    this.#stopTimer();
    try {
      const { producer, rights } = this.#parts;
      await producer.commit(rights, position);
      this.#committed = position;
      rights.wrote(position);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    if (this.#done > this.#committed) this.#startTimer();
  }

  #startTimer(): void {
    if (this.#due || this.#cancelTimer !== undefined || this.#closed.signal.aborted) return;
    this.#cancelTimer = this.#parts.clock.after(COMMIT_EVERY, () => {
      this.#due = true;
      // What fails ends the read.
      this.#end().catch(() => undefined);
    });
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#due = false;
  }

  /** Nothing of this transaction may be committed any more; the read ends, and throws the error. */
  #fail(thrown: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error: thrown };
    this.#stopTimer();
    this.#partition[Symbol.asyncDispose]().then(undefined, () => undefined);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Commits what is done, or gives up what was written, and hands the partition over. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { producer, logger, over } = this.#parts;
    this.#closed.abort();
    try {
      await this.#ending;
      if (!over.aborted) await this.#end();
    } catch (error) {
      const reason = messageOf(error);
      logger.warn({ partition: this.name, reason }, "the last transaction was given up; what it held is read again");
    } finally {
      await producer.abort();
      this.#stopTimer();
      await this.#partition[Symbol.asyncDispose]();
    }
  }
}
