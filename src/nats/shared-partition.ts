import type { ConsumerInfo } from "@nats-io/jetstream";

import type { Batch, Event, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import { InfrastructureError } from "../errors.ts";
import { Acknowledger } from "./acknowledger.ts";
import { editCommand } from "./consumer-settings.ts";
import { millisecondsOf } from "./consumers.ts";
import type { Delivery } from "./delivery.ts";
import { Ack, againAfter } from "./delivery.ts";
import { Feed } from "./feed.ts";
import { Held } from "./held.ts";
import type { JetStreamPartition, PartitionParts } from "./partition-parts.ts";
import type { PullTrouble } from "./pull.ts";

/** How long nothing is acknowledged at the limit of `max_ack_pending` until that is told, in milliseconds. */
const STALLED = 5000;
/** Where nothing says how long a message may be worked on; the server's default. In milliseconds. */
const DEFAULT_ACK_WAIT = 30_000;

/**
 * What one instance gets of a durable consumer that instances share. Each message is acknowledged by itself.
 *
 * Sequence numbers fall where something is delivered again, but positions must not. So the position after a message is one
 * past its sequence number or one past the position before, whichever is higher: each message is acknowledged when what
 * was read up to it, and not just what is numbered up to it, is done.
 */
export class SharedPartition implements JetStreamPartition {
  readonly name: string;
  readonly signal: AbortSignal = new AbortController().signal;
  readonly #parts: PartitionParts;
  readonly #feed: Feed;
  readonly #acks: Acknowledger;
  readonly #held = new Held();
  readonly #limit: number;
  readonly #countsDeliveries: boolean;
  readonly #ended = new AbortController();
  readonly #cancelExtending: () => void;
  #position: Position = 0;
  #refreshed: number;
  #acknowledged: number;
  #stalled = false;
  #closing: Promise<void> | undefined;

  /** @param info what the server said of the consumer when it was found */
  constructor(parts: PartitionParts, info: ConsumerInfo) {
    const { api, wanted, clock } = parts;
    this.#parts = parts;
    this.name = `${wanted.stream}/${wanted.name}`;
    this.#limit = info.config.max_ack_pending ?? -1;
    this.#countsDeliveries = (info.config.max_deliver ?? -1) > 0;
    this.#acknowledged = clock.elapsed();
    this.#refreshed = this.#acknowledged;
    this.#acks = new Acknowledger(api.link);
    this.#feed = new Feed(api.link, { stream: wanted.stream, consumer: wanted.name }, parts.limits, clock, (trouble) =>
      this.#recover(trouble),
    );
    this.#cancelExtending = this.#extendEvery(ackWaitOf(info) / 3);
  }

  get pending(): number {
    return this.#feed.pending;
  }

  get held(): number {
    return this.#held.size;
  }

  async *read(): AsyncGenerator<Batch<Uint8Array>> {
    for await (const deliveries of this.#feed.read(this.#parts.stop)) {
      this.#checkStall(deliveries.length);
      yield this.#batch(this.#withoutHeld(deliveries));
    }
    // What is given back counts as delivered: it would never come again after its last delivery.
    if (!this.#countsDeliveries || this.#closing !== undefined) return;
    for await (const deliveries of this.#feed.rest()) yield this.#batch(this.#withoutHeld(deliveries));
  }

  async commit(position: Position): Promise<void> {
    const done = this.#held.release(position);
    if (done.length === 0) return;
    this.#acks.done(done);
    this.#acknowledged = this.#parts.clock.elapsed();
    if (this.#stalled) this.#parts.waiting(undefined);
    this.#stalled = false;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#cancelExtending();
    this.#ended.abort();
    // What nobody has looked at is for another instance at once; what failed here, only after a while.
    this.#acks.tell(await this.#feed.close(), Ack.again);
    this.#acks.tell(this.#held, this.#parts.stop.aborted ? Ack.again : againAfter(this.#parts.retryAfter));
    await this.#acks[Symbol.asyncDispose]();
  }

  #batch(deliveries: readonly Delivery[]): Batch<Uint8Array> {
    const events: Event<Uint8Array>[] = [];
    for (const delivery of deliveries) {
      events.push(this.#parts.events.make(delivery));
      this.#position = Math.max(this.#position, delivery.sequence) + 1;
      this.#held.add(delivery, this.#position);
    }
    return { events, position: this.#position, watermark: NO_WATERMARK };
  }

  /** Leaves out what was delivered again although it is still worked on here. */
  #withoutHeld(deliveries: readonly Delivery[]): readonly Delivery[] {
    if (this.#held.size === 0 || !deliveries.some((delivery) => delivery.sequence < this.#position)) return deliveries;
    const held = new Set(Array.from(this.#held, ({ reply, sequence }) => (reply === "" ? undefined : sequence)));
    return deliveries.filter((delivery) => !held.has(delivery.sequence));
  }

  /** Finds the consumer again, or makes it anew where the task says so. */
  async #recover(trouble: PullTrouble): Promise<void> {
    if (trouble.kind === "refused") throw new InfrastructureError(`${this.name}: the server does not deliver: ${trouble.reason}`);
    const { consumer, stop } = this.#parts;
    const before = consumer.streamCreated;
    await consumer.find(stop);
    if (consumer.streamCreated !== before) this.#disown();
  }

  /** The stream was made anew: the numbers of what is here are those of other messages now, which nobody has worked on. */
  #disown(): void {
    for (const deliveries of [this.#held, this.#feed.arrived()]) {
      for (const delivery of deliveries) delivery.reply = "";
    }
  }

  /** Tells the server, before its time to wait is over, what is still worked on. */
  #extendEvery(ms: number): () => void {
    let cancel = () => {};
    const extend = () => {
      const now = this.#parts.clock.elapsed();
      for (const deliveries of [this.#held, this.#feed.arrived()]) {
        const due = [...deliveries].filter((delivery) => now - delivery.extended >= ms);
        for (const delivery of due) delivery.extended = now;
        this.#acks.tell(due, Ack.working);
      }
      if (this.#acknowledged > this.#refreshed) {
        this.#refreshed = now;
        void this.#parts.consumer.refresh(this.#ended.signal);
      }
      cancel = this.#parts.clock.after(ms, extend);
    };
    cancel = this.#parts.clock.after(ms, extend);
    return () => cancel();
  }

  /** The server delivers nothing more while so much is not acknowledged; that must not look like an idle stream. */
  #checkStall(delivered: number): void {
    if (this.#limit <= 0 || delivered > 0 || this.#stalled) return;
    if (this.#held.size < this.#limit || this.#parts.clock.elapsed() - this.#acknowledged < STALLED) return;
    this.#stalled = true;
    const { wanted } = this.#parts;
    // Without `create` the task's setting does nothing to a consumer that is there.
    const remedy = wanted.create
      ? "raise maxAckPending of the task"
      : `raise its limit (${editCommand(wanted, `--max-pending=${2 * this.#limit}`)})`;
    const reason = `consumer ${this.name}: ${this.#held.size} messages are worked on and not acknowledged, as many as its max_ack_pending allows; the server delivers no more until some are done: ${remedy}`;
    this.#parts.logger.warn({ consumer: this.name }, reason);
    this.#parts.waiting(reason);
  }
}

/** How long the server waits for an acknowledgement, in milliseconds. */
function ackWaitOf(info: ConsumerInfo): number {
  const waits = [info.config.ack_wait, ...(info.config.backoff ?? [])].map(millisecondsOf).filter((ms) => ms !== undefined && ms > 0);
  return waits.length === 0 ? DEFAULT_ACK_WAIT : Math.min(...(waits as number[]));
}
