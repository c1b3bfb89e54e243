import type { Batch, Event, Position } from "../batch.ts";
import type { CommitRights, Failures, Partition } from "../contracts.ts";
import { refused } from "./refused.ts";

/** Turns the bytes of a record into a value; null for a record without a value. Throws when they are no such thing. */
export type Decoder = (bytes: Uint8Array | null) => unknown;

/**
 * A partition whose values are decoded as they are read. A record that can't be decoded is a failure of the step `source`; where
 * that ends the `read`, it does so behind a batch with everything before it.
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

  get edition(): string | undefined {
    return this.#partition.edition;
  }

  get signal(): AbortSignal {
    return this.#partition.signal;
  }

  get rights(): CommitRights | undefined {
    return this.#partition.rights;
  }

  async *read(from: Position | undefined, failures?: Failures): AsyncGenerator<Batch, void, undefined> {
    const decode = this.#decode;
    for await (const batch of this.#partition.read(from, failures)) {
      const events: Event[] = batch.events;
      for (let index = 0; index < events.length; index++) {
        const event = events[index] as Event;
        try {
          event.value = decode(event.value as Uint8Array | null);
        } catch (error) {
          const failure = refused(event, error, failures);
          if (failure === undefined) {
            events.splice(index--, 1);
            continue;
          }
          events.length = index;
          if (index > 0) yield { events, position: event.offset, watermark: batch.watermark };
          throw failure.thrown;
        }
      }
      yield batch;
    }
  }

  commit(position: Position, kept?: "state"): Promise<void> {
    return this.#partition.commit(position, kept);
  }

  async committedWith(): Promise<"state" | undefined> {
    return await this.#partition.committedWith?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#partition[Symbol.asyncDispose]();
  }
}
