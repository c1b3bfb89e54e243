import { AckPolicy, DeliverPolicy } from "@nats-io/jetstream";

import type { Position } from "../batch.ts";
import type { BrokerOffsets, PartitionOffsets } from "../broker-offsets.ts";
import type { Lease } from "../contracts.ts";
import type { JetStreamApi } from "./api.ts";
import { isMissing, refused } from "./api.ts";
import type { NatsLink } from "./connection.ts";
import { nanoseconds } from "./consumers.ts";
import { setBack } from "./ownership.ts";

/** The server forgets the consumer that finds a time when nobody asked it for so long, in milliseconds. */
const FORGOTTEN_AFTER = 10_000;

/** A durable consumer's place in its stream. */
export class JetStreamOffsets implements BrokerOffsets {
  readonly #wanted: { readonly stream: string; readonly name: string };
  readonly #api: JetStreamApi;
  readonly #lease: Lease<NatsLink>;
  readonly #signal: AbortSignal;

  /** @param lease given back in the end */
  constructor(wanted: { readonly stream: string; readonly name: string }, api: JetStreamApi, lease: Lease<NatsLink>, signal: AbortSignal) {
    this.#wanted = wanted;
    this.#api = api;
    this.#lease = lease;
    this.#signal = signal;
  }

  async read(): Promise<readonly PartitionOffsets[]> {
    const { stream, name } = this.#wanted;
    const { state } = await this.#ask(`stream "${stream}"`, () => this.#api.ask(this.#signal, ({ streams }) => streams.info(stream)));
    const info = await this.#ask(`consumer "${name}"`, () =>
      this.#api
        .ask(this.#signal, ({ consumers }) => consumers.info(stream, name))
        .catch((error: unknown) => {
          if (isMissing(error)) return undefined;
          throw error;
        }),
    );
    const committed = info === undefined ? undefined : info.ack_floor.stream_seq + 1;
    return [{ partition: `${stream}/${name}`, committed, first: Math.max(state.first_seq, 1), end: state.last_seq + 1 }];
  }

  async at(time: number): Promise<ReadonlyMap<string, Position>> {
    const { stream, name } = this.#wanted;
    const first = await this.#ask(`stream "${stream}"`, () =>
      this.#api.ask(this.#signal, async ({ consumers }) => {
        // Of all that the server offers only a consumer finds a message by its time.
        const finder = await consumers.add(stream, {
          deliver_policy: DeliverPolicy.StartTime,
          opt_start_time: new Date(time).toISOString(),
          ack_policy: AckPolicy.None,
          inactive_threshold: nanoseconds(FORGOTTEN_AFTER),
          mem_storage: true,
        });
        await consumers.delete(stream, finder.name);
        return finder.delivered.stream_seq + 1;
      }),
    );
    return new Map([[`${stream}/${name}`, first]]);
  }

  async commit(positions: ReadonlyMap<string, Position>): Promise<void> {
    for (const position of positions.values()) await setBack(this.#wanted, { api: this.#api, stop: this.#signal }, position);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lease[Symbol.asyncDispose]();
  }

  async #ask<R>(what: string, request: () => Promise<R>): Promise<R> {
    try {
      return await request();
    } catch (error) {
      throw refused(what, error);
    }
  }
}
