import type { Batch, Event, Origin, Position } from "../../src/batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../../src/batch.ts";
import type { Failures, Partition } from "../../src/contracts.ts";
import { DataError, OwnershipLostError } from "../../src/errors.ts";
import type { Reading } from "./input.ts";
import { StaleMemberError, type LogBroker } from "./log-broker.ts";
import type { Process } from "./process.ts";

/** How often a position is written, in milliseconds. */
const COMMIT_EVERY = 500;
const PAUSE = 300;
/** Tries to write the last position of a partition that is handed over. */
const LAST_TRIES = 4;

/** Who a partition is read by. */
export interface Owner {
  readonly process: Process;
  readonly broker: LogBroker;
  /** Writes a position to the broker; throws StaleMemberError when the partition belongs to another. */
  readonly commit: (position: Position) => void;
  /** `ends`: the input is finished where the log ends now. */
  readonly end: "ends" | "goes on";
  readonly most: () => number;
}

/** Events as a source gives them. */
export function eventOf(reading: Reading, offset: Position, origin: Origin): Event {
  return {
    value: reading,
    key: reading.key,
    time: reading.time,
    headers: undefined,
    origin,
    offset,
    watermark: NO_WATERMARK,
    size: 50,
    raw: reading.id,
    rawKey: reading.key,
  };
}

/** Takes out what the source can't decode. */
export function decoded(events: Event[], failures: Failures | undefined): { readonly events: Event[]; readonly failure?: DataError } {
  const good: Event[] = [];
  for (const event of events) {
    if ((event.value as Reading).fault !== "source") good.push(event);
    else {
      const failure = new DataError("source", event, new TypeError("no JSON"));
      if (failures === undefined) return { events: good, failure };
      failures.take("source", event, failure);
    }
  }
  return { events: good };
}

/** One assignment of a partition to a process. */
export class LogPartition implements Partition {
  readonly name: string;
  readonly number: number;
  readonly #owner: Owner;
  readonly #start: Position | undefined;
  readonly #lost = new AbortController();
  readonly #ending = Promise.withResolvers<"ended">();
  #ended = false;
  #wanted: Position | undefined;
  #written: Position | undefined;
  #writing: Promise<void> = Promise.resolve();
  #cancelWrite: (() => void) | undefined;
  readonly #closed = Promise.withResolvers<void>();
  /** Settles when the pipeline has let go of it. */
  readonly closed: Promise<void> = this.#closed.promise;

  constructor(number: number, owner: Owner, start: Position | undefined) {
    this.name = `topic/${number}`;
    this.number = number;
    this.#owner = owner;
    this.#start = start;
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Reading ends behind what was read. */
  end(): void {
    this.#ended = true;
    this.#ending.resolve("ended");
  }

  lose(why: string): void {
    this.#lost.abort(new OwnershipLostError(why));
    this.end();
  }

  async *read(from: Position | undefined, failures?: Failures): AsyncGenerator<Batch> {
    const { process, broker, end, most } = this.#owner;
    const origin: Origin = { system: "simulated", name: "topic", partition: this.number };
    let position = from ?? this.#start ?? 0;
    process.world.note(() => `process ${process.number} reads ${this.name} from ${position}`);
    while (!this.#ended) {
      if (end === "ends" && position >= (broker.logs[this.number]?.readings.length ?? 0)) {
        yield { events: [], position, watermark: END_OF_INPUT };
        return;
      }
      const fetched = broker.fetch(process, this.number, position, most()).catch(() => undefined);
      const readings = await Promise.race([fetched, this.#ending.promise]);
      if (readings === "ended") return;
      if (readings === undefined) {
        await Promise.race([this.#pause(), this.#ending.promise]);
        continue;
      }
      const first = position;
      const read = readings.map((reading, index) => eventOf(reading, first + index, origin));
      const { events, failure } = decoded(read, failures);
      position = failure?.place?.offset ?? first + readings.length;
      yield { events, position, watermark: NO_WATERMARK };
      if (failure !== undefined) throw failure;
    }
  }

  commit(position: Position): Promise<void> {
    if (this.#lost.signal.aborted) return Promise.reject(this.#lost.signal.reason as Error);
    this.#wanted = position;
    this.#cancelWrite ??= this.#owner.process.clock.after(COMMIT_EVERY, () => {
      this.#cancelWrite = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    });
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
    this.#cancelWrite?.();
    await this.#writing;
    for (let tries = 0; tries < LAST_TRIES && !this.#lost.signal.aborted && this.#wanted !== this.#written; tries++) {
      if (tries > 0) await this.#pause();
      await this.#write();
    }
    this.#closed.resolve();
  }

  async #write(): Promise<void> {
    const position = this.#wanted;
    if (position === undefined || position === this.#written || this.#lost.signal.aborted) return;
    const { process, broker, commit } = this.#owner;
    try {
      await process.ask(broker.service, `commit ${this.number}@${position}`, () => commit(position));
      this.#written = position;
    } catch (error) {
      if (error instanceof StaleMemberError) this.lose(error.message);
      else if (!this.#ended) await this.commit(this.#wanted ?? position);
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#owner.process.clock.after(PAUSE, resolve));
  }
}
