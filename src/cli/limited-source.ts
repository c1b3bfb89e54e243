import type { Batch, Position } from "../batch.ts";
import { END_OF_INPUT } from "../batch.ts";
import type { Failures, Partition, Source } from "../contracts.ts";
import { PlannedStop } from "../errors.ts";

/**
 * A source whose input ends after so many events, over all partitions: windows then close and give their results. Every
 * batch is cut to what is left, so what is behind the limit is never seen.
 */
export class LimitedSource implements Source {
  readonly #source: Source;
  readonly #reached = new AbortController();
  #left: number;

  constructor(source: Source, limit: number) {
    this.#source = source;
    this.#left = limit;
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition> {
    for await (const partition of this.#source.partitions(AbortSignal.any([stop, this.#reached.signal]))) {
      yield {
        name: partition.name,
        signal: partition.signal,
        read: (from, failures) => this.#read(partition, from, stop, failures),
        commit: (position) => partition.commit(position),
        [Symbol.asyncDispose]: () => partition[Symbol.asyncDispose](),
      };
    }
  }

  lag(): number | undefined {
    return this.#source.lag?.();
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#source[Symbol.asyncDispose]();
  }

  async *#read(partition: Partition, from: Position | undefined, stop: AbortSignal, failures: Failures | undefined): AsyncGenerator<Batch> {
    let position = from ?? 0;
    for await (const batch of partition.read(from, failures)) {
      const cut = this.#cut(batch);
      position = cut.position;
      yield cut;
      if (this.#left === 0) break;
    }
    if (this.#left > 0) return;
    this.#reached.abort(new PlannedStop("the limit is reached"));
    if (!stop.aborted) yield { events: [], position, watermark: END_OF_INPUT };
  }

  #cut(batch: Batch): Batch {
    const { length } = batch.events;
    const first = batch.events[this.#left];
    this.#left = Math.max(0, this.#left - length);
    if (first === undefined) return batch;
    const kept = batch.events.indexOf(first);
    return { events: batch.events.slice(0, kept), position: first.offset, watermark: first.watermark };
  }
}
