import { AckPolicy } from "@nats-io/jetstream";

import type { Batch, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import { InfrastructureError } from "../errors.ts";
import { isMissing, refused } from "./api.ts";
import { ensureStream, filterConfig, nanoseconds, refuseWorkQueue, startConfig } from "./consumers.ts";
import { Feed } from "./feed.ts";
import type { JetStreamPartition, PartitionParts } from "./partition-parts.ts";
import type { PullTrouble } from "./pull.ts";

/** The server forgets the consumer when nobody asked it for so long: longer than anyone waits at a breakpoint. In milliseconds. */
const FORGOTTEN_AFTER = 3_600_000;

/** How long deleting it may take, in milliseconds. */
const FORGET_TIMEOUT = 1000;

/**
 * Reads a stream without leaving a trace, for debugging: from where the task's durable consumer is, if there is one, or else
 * from where the task says.
 */
export async function replayPartition(parts: PartitionParts): Promise<JetStreamPartition> {
  const { api, wanted, stop } = parts;
  const stream = await ensureStream(api, stop, { ...wanted, create: false });
  refuseWorkQueue(stream, wanted.task, "debugging reads without acknowledging", ", or give `debug` a file (--input FILE)");
  let first = wanted.from === "earliest" ? 1 : stream.state.last_seq + 1;
  try {
    const durable = await api.ask(stop, ({ consumers }) => consumers.info(wanted.stream, wanted.name));
    first = durable.ack_floor.stream_seq + 1;
  } catch (error) {
    if (!isMissing(error)) throw refused(`consumer "${wanted.name}" of stream "${wanted.stream}"`, error);
  }
  return new ReplayPartition(parts, first);
}

/** A consumer of its own, without acknowledgements, made anew whenever something is amiss. */
class ReplayPartition implements JetStreamPartition {
  readonly name: string;
  readonly signal: AbortSignal = new AbortController().signal;
  readonly #parts: PartitionParts;
  readonly #first: number;
  #feed: Feed | undefined;
  #consumer: string | undefined;

  constructor(parts: PartitionParts, first: number) {
    this.#parts = parts;
    this.#first = first;
    this.name = `${parts.wanted.stream}/debug`;
  }

  get pending(): number {
    return this.#feed?.pending ?? 0;
  }

  get held(): number {
    return 0;
  }

  async *read(from: Position | undefined): AsyncGenerator<Batch<Uint8Array>> {
    const { stop, events } = this.#parts;
    let next = from ?? this.#first;
    while (!stop.aborted) {
      let expected = 1;
      const feed = await this.#open(next);
      for await (const deliveries of feed.read(stop)) {
        const inOrder = deliveries.filter((delivery) => delivery.consumerSequence === expected && expected++ > 0);
        next = (inOrder.at(-1)?.sequence ?? next - 1) + 1;
        yield { events: inOrder.map((delivery) => events.make(delivery)), position: next, watermark: NO_WATERMARK };
        // Something that was sent did not arrive.
        if (inOrder.length < deliveries.length || this.#consumer === undefined) break;
      }
      await this.#close();
    }
  }

  async commit(): Promise<void> {
    // Nobody is to know that it was read.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  async #open(first: number): Promise<Feed> {
    const { api, wanted, stop, limits, clock } = this.#parts;
    const config = {
      ...filterConfig(wanted.subjects),
      ...startConfig(first),
      ack_policy: AckPolicy.None,
      description: `Millrace task ${wanted.task}, debugging`,
      inactive_threshold: nanoseconds(FORGOTTEN_AFTER),
      mem_storage: true,
    };
    try {
      const { name } = await api.ask(stop, ({ consumers }) => consumers.add(wanted.stream, config));
      this.#consumer = name;
      this.#feed = new Feed(api.link, { stream: wanted.stream, consumer: name }, limits, clock, (trouble) => this.#recover(trouble));
      return this.#feed;
    } catch (error) {
      throw refused(`stream "${wanted.stream}" can't be read without a durable consumer`, error);
    }
  }

  /** Leaves the consumer to be made anew: without acknowledgements, what was on its way is not sent again. */
  async #recover({ kind, reason }: PullTrouble): Promise<void> {
    if (kind === "refused") throw new InfrastructureError(`${this.name}: the server does not deliver: ${reason}`);
    await this.#forget();
  }

  async #close(): Promise<void> {
    await this.#feed?.close();
    await this.#forget();
  }

  async #forget(): Promise<void> {
    const { api, wanted } = this.#parts;
    const name = this.#consumer;
    this.#consumer = undefined;
    const { client } = api.link;
    if (name === undefined || client === undefined) return;
    try {
      await client.request(`$JS.API.CONSUMER.DELETE.${wanted.stream}.${name}`, undefined, { timeout: FORGET_TIMEOUT });
    } catch {
      // The server forgets it by itself.
    }
  }
}
