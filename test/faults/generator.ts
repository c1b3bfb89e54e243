/** Makes the records of a fault run and writes them, over all outages of the broker. */
import { setTimeout as delay } from "node:timers/promises";

import { randomOf } from "../support/nexmark.ts";
import { Ledger } from "./ledger.ts";
import type { FaultRecord, Fate } from "./record.ts";

/** Writes records to a broker. */
export interface RecordWriter extends AsyncDisposable {
  /** In order. Settles when the broker has confirmed all; rejects when it is not known whether it has them. */
  write(records: readonly FaultRecord[]): Promise<void>;
  /** Writes the record to every partition of the input. */
  writeEverywhere(record: FaultRecord): Promise<void>;
}

/** What the records are to be like. */
export interface LoadOptions {
  readonly run: string;
  readonly seed: number;
  /** How many keys there are; default 50. */
  readonly keys?: number;
  /** Records per second; `unpaced` for as many as the broker takes. */
  readonly rate: number | "unpaced";
  /** Event time between two records, in milliseconds; default 4. */
  readonly step?: number;
  /** How far an event time may lie behind an earlier record's, in milliseconds; default 0. */
  readonly disorder?: number;
  /** Parts of all records, from 0 to 1; default 0.05, none and none. Late ones are too late for windows of ten seconds. */
  readonly filtered?: number;
  readonly poisoned?: number;
  readonly late?: number;
  /** No more than so many; default no limit. */
  readonly most?: number;
}

const LONGEST_BATCH = 1000;
/** After a failed send, in milliseconds. */
const PAUSE = 100;
const BEGIN = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const LAST_TRIES = 600;
/** How far the event time of a late record lies behind at least, in milliseconds; up to twice as far. */
const LATENESS = 20_000;

/** Writes from when it is made until it is ended. */
export class Generator {
  readonly ledger = new Ledger();
  readonly #writer: RecordWriter;
  readonly #options: LoadOptions;
  readonly #random: () => number;
  readonly #sequences = new Map<string, number>();
  #made = 0;
  #ended = false;
  readonly #writing: Promise<void>;

  constructor(writer: RecordWriter, options: LoadOptions) {
    this.#writer = writer;
    this.#options = options;
    this.#random = randomOf(options.seed);
    this.#writing = this.#run();
    // Met by `end`.
    this.#writing.catch(() => undefined);
  }

  /** How many records were made. */
  get made(): number {
    return this.#made;
  }

  /** Settles when `most` records were written. */
  get done(): Promise<void> {
    return this.#writing;
  }

  /** Ends the load, and moves time on in every partition so far that all windows close. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#writing;
    const tick: FaultRecord = { run: this.#options.run, key: "", seq: 0, at: this.#timeOf(this.#made) + HOUR, fate: "tick" };
    for (let tries = 1; ; tries++) {
      try {
        await this.#writer.writeEverywhere(tick);
        return;
      } catch (error) {
        // Ticks may come twice: nothing counts them.
        if (tries === LAST_TRIES) throw error;
        await delay(PAUSE);
      }
    }
  }

  async #run(): Promise<void> {
    const { rate, most = Number.POSITIVE_INFINITY } = this.#options;
    const begin = performance.now();
    while (!this.#ended && this.#made < most) {
      const due = rate === "unpaced" ? Number.POSITIVE_INFINITY : Math.floor(((performance.now() - begin) / 1000) * rate);
      const count = Math.min(due, most) - this.#made;
      if (count > 0) await this.#write(Math.min(count, LONGEST_BATCH));
      else await delay(10);
    }
  }

  async #write(count: number): Promise<void> {
    const records = Array.from({ length: count }, () => this.#next());
    const settle = this.ledger.attempt(records);
    try {
      await this.#writer.write(records);
      settle("acknowledged");
    } catch {
      // It may be there or not, so it is not sent again: what it was is read from the broker in the end.
      settle("unknown");
      await delay(PAUSE);
    }
  }

  #next(): FaultRecord {
    const { run, keys = 50, disorder = 0, late = 0 } = this.#options;
    const key = `k${Math.floor(this.#random() * keys)}`;
    const seq = this.#sequences.get(key) ?? 0;
    this.#sequences.set(key, seq + 1);
    const behind = this.#random() < late ? LATENESS * (1 + this.#random()) : this.#random() * disorder;
    const at = this.#timeOf(this.#made++) - Math.floor(behind);
    return { run, key, seq, at, fate: this.#fate() };
  }

  #timeOf(made: number): number {
    return BEGIN + made * (this.#options.step ?? 4);
  }

  #fate(): Fate {
    const { filtered = 0.05, poisoned = 0 } = this.#options;
    const chance = this.#random();
    if (chance < poisoned) return "poison";
    return chance < poisoned + filtered ? "filter" : "keep";
  }
}
