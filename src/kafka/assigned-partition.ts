import type { Batch, Event, Origin, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import type { Clock } from "../clock.ts";
import type { CommitRights, Partition } from "../contracts.ts";
import { OwnershipLostError } from "../errors.ts";
import { Silence } from "../silence.ts";
import type { RecordValue } from "./consumer.ts";
import type { MemberOf } from "./driver.ts";
import type { RecordChunk } from "./record-chunk.ts";

/**
 * An idle partition yields an empty batch that often, in milliseconds. Steps that need the time have timers of their own; this
 * only shows that the partition is read, and with many idle ones it would be much of what they cost.
 */
const IDLE = 30_000;

/** Where a partition begins. */
export interface Start {
  readonly position: Position;
  /** Whether the group has that position already. */
  readonly committed: boolean;
  /** What else is needed to go on from there. */
  readonly needs?: "state" | undefined;
}

/** What a partition asks of the consumer that it belongs to. */
export interface PartitionOwner {
  /** Where to begin when the pipeline does not say: the committed position, or what the settings say. */
  startOf(partition: AssignedPartition): Promise<Start>;
  /** The partition can take records, or can take more of them. */
  wants(partition: AssignedPartition): void;
  /** A position waits to be committed. */
  commits(partition: AssignedPartition): void;
  /** Writes what waits to be committed; settles when it is written or can't be. */
  release(partition: AssignedPartition): Promise<void>;
}

/** The settings of a partition. */
export interface PartitionSettings {
  /** Bytes of records that wait for the pipeline. */
  readonly maxWaiting: number;
  readonly clock: Clock;
  /** The topic's id, where the client knows it; see `Partition.edition`. */
  readonly edition?: string | undefined;
  /** Whose it is; undefined when nothing is committed. */
  readonly holder?: (MemberOf & { readonly group: string }) | undefined;
}

type Arrival = "something" | "nothing";

/** A partition from its assignment until it is disposed of: the records that wait for its pipeline, and its position. */
export class AssignedPartition implements Partition<RecordValue> {
  readonly topic: string;
  readonly number: number;
  readonly name: string;
  readonly origin: Origin;
  readonly edition: string | undefined;
  readonly rights: CommitRights | undefined;
  readonly #owner: PartitionOwner;
  readonly #maxWaiting: number;
  readonly #lost = new AbortController();
  readonly #disposed = Promise.withResolvers<void>();
  readonly #chunks: RecordChunk[] = [];
  #waiting = 0;
  #started = false;
  #ending = false;
  #disposal: Promise<void> | undefined;
  #over = false;
  #failure: unknown;
  /** Ends a wait for records. */
  #wake: ((arrival: Arrival) => void) | undefined;
  readonly #ended = Promise.withResolvers<undefined>();
  readonly #silence: Silence;
  /** The position of what was yielded last. */
  #position: Position = 0;
  /** Where it began. */
  #start: Position = 0;
  #fetchFrom: Position | undefined;
  #toCommit: Position | undefined;
  #kept: "state" | undefined;
  #committed: Position | undefined;
  #replaced = false;
  /** The end of the log as of the last reply. */
  logEnd: Position | undefined;

  constructor(topic: string, number: number, owner: PartitionOwner, settings: PartitionSettings) {
    this.topic = topic;
    this.number = number;
    this.name = `${topic}/${number}`;
    this.origin = { system: "kafka", name: topic, partition: number };
    this.edition = settings.edition;
    this.#owner = owner;
    this.#maxWaiting = settings.maxWaiting;
    this.#silence = new Silence(settings.clock, IDLE, () => this.#arrived("nothing"));
    const { holder } = settings;
    this.rights = holder && { ...holder, topic, partition: number, wrote: (position) => this.#wroteElsewhere(position) };
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Settles when the pipeline is done with it: everything is written, or was given up. */
  get disposed(): Promise<void> {
    return this.#disposed.promise;
  }

  /** Whether its read was asked to end. */
  get ending(): boolean {
    return this.#ending;
  }

  /** The next offset to fetch; undefined while nothing is to be fetched. */
  get fetchFrom(): Position | undefined {
    return this.#ending || this.#failure !== undefined ? undefined : this.#fetchFrom;
  }

  /** How many bytes to ask for; 0 when enough is waiting. */
  get room(): number {
    return this.#waiting > this.#maxWaiting / 2 ? 0 : this.#maxWaiting - this.#waiting;
  }

  /** The position to write, when it is not written yet. */
  get uncommitted(): Position | undefined {
    return this.#lost.signal.aborted || this.#toCommit === this.#committed ? undefined : this.#toCommit;
  }

  /** Events in the log that are not committed; undefined while that is not known. */
  get lag(): number | undefined {
    if (this.logEnd === undefined) return undefined;
    return Math.max(0, this.logEnd - (this.#toCommit ?? this.#start));
  }

  async *read(from: Position | undefined): AsyncGenerator<Batch<RecordValue>, void, undefined> {
    if (this.#started) throw new Error(`partition ${this.name} is read once`);
    this.#started = true;
    await this.#begin(from);
    // Where it begins is committed also when nothing comes: a group without a position would begin anew, at the latest record later.
    if (this.#fetchFrom !== undefined && this.#committed === undefined)
      yield { events: [], position: this.#position, watermark: NO_WATERMARK };
    for (;;) {
      this.signal.throwIfAborted();
      if (this.#ending) return;
      const batch = this.#take();
      if (batch !== undefined) {
        yield batch;
      } else if (this.#failure !== undefined) {
        throw this.#failure as Error;
      } else if ((await this.#arrival()) === "nothing") {
        yield { events: [], position: this.#position, watermark: NO_WATERMARK };
      }
    }
  }

  async #begin(from: Position | undefined): Promise<void> {
    if (this.#ending) return;
    const start =
      from === undefined ? await Promise.race([this.#owner.startOf(this), this.#ended.promise]) : { position: from, committed: false };
    if (start === undefined) return;
    const { position, committed } = start;
    this.#start = position;
    this.#position = position;
    this.#fetchFrom = position;
    if (committed) {
      this.#toCommit = position;
      this.#committed = position;
    }
    this.#owner.wants(this);
  }

  /** The next batch of what waits; undefined when nothing does. */
  #take(): Batch<RecordValue> | undefined {
    if (this.#chunks.length === 0) return undefined;
    const roomBefore = this.room;
    const events: Event<RecordValue>[] = [];
    const before = this.#position;
    let bytes = 0;
    try {
      for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
        const waiting = chunk.waiting;
        try {
          bytes = chunk.take(events, bytes);
        } finally {
          this.#waiting -= waiting - chunk.waiting;
          this.#position = Math.max(this.#position, chunk.position);
        }
        if (!chunk.done) break;
        this.#waiting -= chunk.waiting;
        this.#chunks.shift();
      }
    } catch (error) {
      this.fail(error);
    }
    if (roomBefore === 0 && this.room > 0) this.#owner.wants(this);
    if (events.length === 0 && this.#position === before) return undefined;
    return { events, position: this.#position, watermark: NO_WATERMARK };
  }

  /** Waits for records, or for so long that an empty batch is due. */
  #arrival(): Promise<Arrival> {
    return new Promise((resolve) => {
      this.#silence.begin();
      // No function of ours: see ARCHITECTURE.md on what V8 keeps.
      this.#wake = resolve;
    });
  }

  #arrived(arrival: Arrival): void {
    const wake = this.#wake;
    if (wake === undefined) return;
    this.#wake = undefined;
    this.#silence.end();
    wake(arrival);
  }

  /** Takes records that were fetched, and goes on behind them. Those of a partition that is ending are dropped. */
  accept(chunk: RecordChunk, next: Position): void {
    if (this.#ending) return;
    this.#fetchFrom = next;
    this.#chunks.push(chunk);
    this.#waiting += chunk.waiting;
    this.#arrived("something");
  }

  /** Goes on at another offset, as the out-of-range policy says. */
  seek(next: Position): void {
    this.#fetchFrom = next;
    this.#position = next;
    this.#owner.wants(this);
  }

  /** Ends the read with that error, behind what waits. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#arrived("something");
  }

  /**
   * The topic was made anew: the read fails behind what waits. Positions in the old log, of which one may have been written
   * to the new one already, must not stand: whoever reads the new one begins at its beginning.
   * @param there whether the new topic has the partition
   */
  replaced(error: unknown, there: boolean): void {
    this.#replaced = true;
    this.#toCommit = there ? 0 : undefined;
    this.#committed = undefined;
    this.#owner.commits(this);
    this.fail(error);
  }

  /** Ends the read: the partition is to be handed over, or a stop was asked for. */
  end(): void {
    this.#ending = true;
    this.#chunks.length = 0;
    this.#waiting = 0;
    this.#ended.resolve(undefined);
    this.#arrived("something");
    this.#silence[Symbol.dispose]();
  }

  /** The partition is another's by now, or may be. */
  lose(why: string): void {
    if (this.#over) return;
    this.#lost.abort(new OwnershipLostError(`Kafka partition ${this.name}: ${why}`));
    this.end();
  }

  // oxlint-disable-next-line typescript/promise-function-async -- an error for each call would cost a promise for each
  commit(position: Position, kept?: "state"): Promise<void> {
    if (this.#lost.signal.aborted) return Promise.reject(this.#lost.signal.reason as Error);
    if (!this.#replaced && position > (this.#toCommit ?? -1)) {
      this.#toCommit = position;
      this.#kept = kept;
      this.#owner.commits(this);
    }
    return Promise.resolve();
  }

  /** What is to be committed with `uncommitted`. */
  get kept(): "state" | undefined {
    return this.#kept;
  }

  async committedWith(): Promise<"state" | undefined> {
    if (this.#ending) return undefined;
    return (await Promise.race([this.#owner.startOf(this), this.#ended.promise]))?.needs;
  }

  /** The position was written. */
  wrote(position: Position): void {
    this.#committed = position;
  }

  /** Nothing is left to write, and the lag is counted from here on. */
  #wroteElsewhere(position: Position): void {
    if (this.#replaced) return;
    this.#toCommit = position;
    this.#committed = position;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    this.end();
    try {
      await this.#owner.release(this);
    } finally {
      this.#over = true;
      this.#disposed.resolve();
    }
  }
}
