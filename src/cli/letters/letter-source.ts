import type { Batch, Event, Origin } from "../../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../../batch.ts";
import type { Partition, Source } from "../../contracts.ts";
import type { DeadLetter } from "../../dead-letter.ts";
import { DecodedPartition } from "../../sources/decoded-partition.ts";
import { decode, decoderFor, type Format } from "../../values.ts";
import { replayHeaders } from "./replay-headers.ts";

const BATCH = 100;

/** What became of letters. */
export interface Progress {
  /** Those whose events, and all before them, are done: written by all sinks, or failed again and kept. */
  readonly done: readonly DeadLetter[];
}

/**
 * A source of dead letters in the place of a plan's: a partition for each that they came from, in the order of their offsets,
 * one after the other. Records have their bytes, which are decoded as the plan's source does it; events have their JSON.
 */
export class LetterSource implements Source, Progress {
  readonly #partitions: readonly LetterPartition[];
  readonly #decode: ((bytes: Uint8Array | null) => unknown) | undefined;

  /** @param format of the plan's source */
  constructor(letters: readonly DeadLetter[], format: Format | undefined) {
    const groups = Map.groupBy(letters, ({ origin: { system, name, partition, edition } }) =>
      JSON.stringify([system, name, partition ?? null, edition ?? null]),
    );
    this.#partitions = [...groups.values()].map((group) => new LetterPartition(group.toSorted((a, b) => a.offset - b.offset)));
    this.#decode = letters[0]?.holds === "derived" ? decode.json : format === undefined ? undefined : decoderFor(format);
  }

  get done(): readonly DeadLetter[] {
    return this.#partitions.flatMap((partition) => partition.done);
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition> {
    for (const partition of this.#partitions) {
      if (stop.aborted) return;
      partition.stop = stop;
      yield this.#decode === undefined ? partition : new DecodedPartition(partition, this.#decode);
      await partition.disposed;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** Letters of one origin, in the order of their offsets. */
class LetterPartition implements Partition<Uint8Array | null> {
  readonly name: string;
  readonly signal: AbortSignal = new AbortController().signal;
  readonly #letters: readonly DeadLetter[];
  readonly #origin: Origin;
  readonly #disposed = Promise.withResolvers<void>();
  #position = Number.NEGATIVE_INFINITY;
  stop: AbortSignal | undefined;

  constructor(letters: readonly DeadLetter[]) {
    this.#letters = letters;
    // One object for all events of a partition.
    this.#origin = letters[0]?.origin ?? { system: "letters", name: "none", partition: undefined };
    this.name = `${this.#origin.name}/${this.#origin.partition ?? 0}/letters`;
  }

  get disposed(): Promise<void> {
    return this.#disposed.promise;
  }

  get done(): readonly DeadLetter[] {
    return this.#letters.filter(({ offset }) => offset < this.#position);
  }

  async *read(): AsyncGenerator<Batch<Uint8Array | null>> {
    let position = this.#letters[0]?.offset ?? 0;
    for (let at = 0; at < this.#letters.length; at += BATCH) {
      if (this.stop?.aborted === true) return;
      const events = this.#letters.slice(at, at + BATCH).map((letter) => this.#eventOf(letter));
      // Letters with the same offset are done together.
      position = this.#letters[at + BATCH]?.offset ?? (this.#letters.at(-1)?.offset ?? 0) + 1;
      yield { events, position, watermark: NO_WATERMARK };
    }
    if (this.stop?.aborted !== true) yield { events: [], position, watermark: END_OF_INPUT };
  }

  commit(position: number): Promise<void> {
    this.#position = Math.max(this.#position, position);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.resolve();
    return Promise.resolve();
  }

  #eventOf(letter: DeadLetter): Event<Uint8Array | null> {
    const { value, key, time, offset, holds } = letter;
    const event = { value, key, time, headers: replayHeaders(letter), origin: this.#origin, offset, watermark: NO_WATERMARK };
    // What a step made of several events has no bytes that were read.
    const raw = holds === "record" ? { raw: value, rawKey: key } : {};
    return { ...event, ...raw, size: value?.length ?? 0 };
  }
}
