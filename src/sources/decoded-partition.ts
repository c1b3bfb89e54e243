import type { Batch, Event, Position } from "../batch.ts";
import type { Partition } from "../contracts.ts";
import { DataError } from "../errors.ts";

/** Turns the bytes of a record into a value; null for a record without a value. Throws when they are no such thing. */
export type Decoder = (bytes: Uint8Array | null) => unknown;

/**
 * A partition whose values are decoded as they are read. A record that can't be decoded ends its `read` with a DataError of
 * the step `source`, behind a batch with everything before it.
 */
export class DecodedPartition implements Partition {
  readonly #partition: Partition<Uint8Array | null>;
  readonly #decode: Decoder;

  constructor(partition: Partition<Uint8Array | null>, decode: Decoder) {
    this.#partition = partition;
    this.#decode = decode;
  }

  get name(): string {
    return this.#partition.name;
  }

  get signal(): AbortSignal {
    return this.#partition.signal;
  }

  async *read(from: Position | undefined): AsyncGenerator<Batch, void, undefined> {
    const decode = this.#decode;
    for await (const batch of this.#partition.read(from)) {
      const events: Event[] = batch.events;
      for (let index = 0; index < events.length; index++) {
        const event = events[index] as Event;
        try {
          event.value = decode(event.value as Uint8Array | null);
        } catch (error) {
          events.length = index;
          if (index > 0) yield { events, position: event.offset, watermark: batch.watermark };
          throw new DataError("source", { origin: event.origin, offset: event.offset }, error);
        }
      }
      yield batch;
    }
  }

  commit(position: Position): Promise<void> {
    return this.#partition.commit(position);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#partition[Symbol.asyncDispose]();
  }
}
