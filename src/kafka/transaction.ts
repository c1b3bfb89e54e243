/**
 * One transactional producer: its identity, and one transaction after the other. Errors that may pass are waited out, all
 * others end it: whoever comes next takes the id over, and goes on from the position that was committed last.
 *
 * A request whose answer was lost may still be under way, and arrive in a later transaction: a late commit would tear that
 * one, a late position set the group back. The brokers' own cure (an epoch for each transaction, KIP-890) is not in the client,
 * so after such a request the identity is renewed before the next transaction, and what is late is refused
 * (https://jepsen.io/analyses/bufstream-0.1.0).
 */
import { abortable } from "../abortable.ts";
import type { Position } from "../batch.ts";
import { type Clock, sleep, within } from "../clock.ts";
import type { CommitRights } from "../contracts.ts";
import { InfrastructureError, OwnershipLostError } from "../errors.ts";
import type { ProducerId } from "./producer-client.ts";
import { type Target, type TransactionRequests, troubleOf } from "./transaction-requests.ts";

/** How long a transaction may be open, in milliseconds; then the broker aborts it. Readers of what is committed wait so long for one that was left behind. */
export const TRANSACTION_TIMEOUT = 60_000;

/** The markers of the last transaction take some milliseconds to be written. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 2000;
/** How long an abort may take: it is a courtesy to readers, the next owner ends the transaction in any case. */
const ABORTING = 2000;

/** What a transactional producer is made with. */
export interface TransactionContext {
  readonly clock: Clock;
  /** Aborts when nothing is to be waited for any more. */
  readonly over: AbortSignal;
  /** Told why it can't go on now, with the error; undefined when it can again. */
  readonly waiting: (error: unknown) => void;
}

export class TransactionalProducer {
  readonly #requests: TransactionRequests;
  readonly #context: TransactionContext;
  readonly #included = new Map<string, Promise<void>>();
  #toInclude: { readonly targets: Target[]; readonly done: Promise<void> } | undefined;
  #producer: ProducerId | undefined;
  /** Whether a request of the present transaction may still be under way though we know no answer. */
  #uncertain = false;
  #open = false;

  constructor(requests: TransactionRequests, context: TransactionContext) {
    this.#requests = requests;
    this.#context = context;
  }

  get id(): string {
    return this.#requests.id;
  }

  /** Who writes now. A batch in another's name is refused. */
  get producer(): ProducerId {
    if (this.#producer === undefined) throw new Error(`the transactions of ${this.id} have not begun`);
    return this.#producer;
  }

  /** Takes the id over: from then on nobody who had it before can write or commit. */
  async begin(signal: AbortSignal): Promise<void> {
    this.#producer = await this.#ask(() => this.#requests.init(undefined), signal);
    this.#uncertain = false;
  }

  /** Settles when what is written to that partition belongs to the transaction. Those asked for in one turn go in one request. */
  include(topic: string, partition: number): Promise<void> {
    const name = `${topic}/${partition}`;
    let done = this.#included.get(name);
    if (done !== undefined) return done;
    this.#open = true;
    if (this.#toInclude === undefined) {
      const targets: Target[] = [];
      this.#toInclude = { targets, done: Promise.resolve().then(() => this.#includeAll(targets)) };
    }
    this.#toInclude.targets.push({ topic, partition });
    ({ done } = this.#toInclude);
    this.#included.set(name, done);
    return done;
  }

  async #includeAll(targets: readonly Target[]): Promise<void> {
    this.#toInclude = undefined;
    await this.#ask(() => this.#requests.include(this.producer, targets));
  }

  /** The answer to a batch was lost. */
  doubt(): void {
    this.#uncertain = true;
  }

  /**
   * Commits what was written since the last call, and the position with it. Everything must have been confirmed.
   * @throws {OwnershipLostError} when the group has given the partition to another
   * @throws {InfrastructureError} when the id is another's by now, or the broker refuses: nothing was committed, or it is not known
   */
  async commit(rights: CommitRights, position: Position): Promise<void> {
    const { producer } = this;
    this.#open = true;
    await this.#ask(() => this.#requests.includeGroup(producer, rights.group));
    await this.#ask(() => this.#requests.writePosition(producer, rights, position));
    await this.#ask(() => this.#requests.end(producer, "commit"));
    this.#open = false;
    this.#included.clear();
    if (!this.#uncertain) return;
    this.#producer = await this.#ask(() => this.#requests.init(producer));
    this.#uncertain = false;
  }

  /** Gives up what was not committed. To be called last; what fails does not matter. */
  async abort(): Promise<void> {
    if (!this.#open || this.#producer === undefined) return;
    this.#open = false;
    const aborting = this.#requests.end(this.#producer, "abort").catch(() => undefined);
    await within(aborting, ABORTING, this.#context.clock);
  }

  /** Asks until there is an answer. */
  async #ask<R>(request: () => Promise<R>, signal: AbortSignal = this.#context.over): Promise<R> {
    const { clock, waiting } = this.#context;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        const answer = await abortable(request(), signal);
        waiting(undefined);
        return answer;
      } catch (error) {
        signal.throwIfAborted();
        const { trouble, name } = troubleOf(error);
        if (trouble === "lost") throw new OwnershipLostError(`transaction ${this.id}: the group has another owner (${name})`);
        if (trouble === "fenced") throw new InfrastructureError(fenced(this.id, name), { cause: error });
        if (trouble === "refused") throw new InfrastructureError(`transaction ${this.id}: Kafka answers ${name}`, { cause: error });
        if (trouble === "again") {
          this.#uncertain = true;
          this.#requests.forget();
        }
        // The markers of the last transaction are soon written, unless a broker is away.
        if (trouble === "again" || pause >= LONGEST_PAUSE) waiting(error);
      }
      await sleep(pause * (0.8 + 0.4 * Math.random()), signal, clock);
    }
  }
}

/** Why the broker does not take an id's requests any more. */
export function fenced(id: string, name: string | undefined): string {
  return `transaction ${id}: another has taken it over, or it was open for more than ${TRANSACTION_TIMEOUT / 1000} s (${name}); what it wrote is not visible and is done again`;
}
