import type { Batch, Event, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import { ConfigError, InfrastructureError, OwnershipLostError } from "../errors.ts";
import { GROUP } from "./consumers.ts";
import { Ack } from "./delivery.ts";
import { Feed } from "./feed.ts";
import { acquire, PinKeeper, pinOf, setBack } from "./ownership.ts";
import type { JetStreamPartition, PartitionParts } from "./partition-parts.ts";
import type { PullTrouble } from "./pull.ts";
import { Unacknowledged } from "./unacknowledged.ts";

/** How long the confirmation of the last acknowledgement may take, in milliseconds. */
const CONFIRM_TIMEOUT = 5000;
/** How long nothing comes at the limit of `max_ack_pending` until it counts as stuck, in milliseconds. */
const STUCK = 5000;

/** The whole consumer as one partition, each time that this instance comes to own it. */
export async function* ownedPartitions(parts: PartitionParts): AsyncGenerator<JetStreamPartition, void, undefined> {
  while (!parts.stop.aborted) {
    const partition = new OwnedPartition(parts, await acquire(parts));
    yield partition;
    await partition.closed;
  }
}

/**
 * A durable consumer that one instance owns: the server delivers to it alone, in the order of the stream, and one
 * acknowledgement stands for everything before it (ack_policy all), as positions do.
 *
 * It begins by setting the consumer back to what is not acknowledged, so that what a former owner held in its windows comes
 * again, in order and before what is newer. When a message is missing in the order of deliveries, or the server may have
 * given the consumer to another, the partition is lost, and read again from there.
 */
class OwnedPartition implements JetStreamPartition {
  readonly name: string;
  readonly edition: string | undefined;
  readonly closed: Promise<void>;
  readonly #parts: PartitionParts;
  readonly #pin: string;
  readonly #lost = new AbortController();
  readonly #end: AbortSignal;
  readonly #keeper: PinKeeper;
  readonly #unacknowledged = new Unacknowledged();
  readonly #settleClosed: () => void;
  #feed: Feed | undefined;
  /** The number that the next delivery must have. */
  #expected = 1;
  #limit = -1;
  #came: number;
  /** The last acknowledgement, to send again when the connection is back and to confirm at the end. */
  #acknowledgement: string | undefined;
  #closing: Promise<void> | undefined;

  constructor(parts: PartitionParts, pin: string) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.name = `${parts.wanted.stream}/${parts.wanted.name}`;
    this.edition = parts.consumer.streamCreated;
    this.closed = promise;
    this.#settleClosed = resolve;
    this.#parts = parts;
    this.#pin = pin;
    this.#end = AbortSignal.any([parts.stop, this.#lost.signal]);
    this.#came = parts.clock.elapsed();
    this.#keeper = new PinKeeper(parts, pin, (reason) => this.#lose(reason));
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get pending(): number {
    return this.#feed?.pending ?? 0;
  }

  get held(): number {
    return this.#unacknowledged.size;
  }

  async *read(from: Position | undefined): AsyncGenerator<Batch<Uint8Array>> {
    const { api, wanted, limits, clock, stop } = this.#parts;
    const info = await setBack(wanted, { api, stop }, from);
    this.#limit = info.config.max_ack_pending ?? -1;
    let next = info.ack_floor.stream_seq + 1;
    const target = { stream: wanted.stream, consumer: wanted.name, group: GROUP, pin: this.#pin };
    this.#feed = new Feed(api.link, target, limits, clock, (trouble) => this.#recover(trouble));
    for await (const deliveries of this.#feed.read(this.#end)) {
      const events: Event<Uint8Array>[] = [];
      for (const delivery of deliveries) {
        if (delivery.consumerSequence !== this.#expected) {
          this.#lose(`message ${delivery.sequence} came out of turn`);
          break;
        }
        this.#expected++;
        // Delivered again because its time was up, although it is still worked on.
        if (delivery.sequence < next) continue;
        next = delivery.sequence + 1;
        this.#unacknowledged.add(delivery);
        events.push(this.#parts.events.make(delivery));
      }
      this.#checkStuck(events.length);
      yield { events, position: next, watermark: NO_WATERMARK };
    }
  }

  async commit(position: Position): Promise<void> {
    if (this.#lost.signal.aborted) throw this.#lost.signal.reason as Error;
    const done = this.#unacknowledged.release(position);
    if (done === undefined) return;
    this.#acknowledgement = done.reply;
    this.#parts.consumer.acknowledged(done.sequence);
    this.#acknowledge();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keeper.stop();
    try {
      await this.#feed?.close();
      if (this.#lost.signal.aborted) return;
      await this.#confirm();
      await this.#keeper.release();
    } finally {
      this.#settleClosed();
    }
  }

  #acknowledge(): void {
    const { client } = this.#parts.api.link;
    // Who was silent for too long must not speak for a consumer that another may own.
    if (client === undefined || this.#acknowledgement === undefined || !this.#keeper.sure) return;
    try {
      client.publish(this.#acknowledgement, Ack.done);
    } catch {
      // The connection was just lost; it is sent again when that is back.
    }
  }

  async #confirm(): Promise<void> {
    const { client } = this.#parts.api.link;
    if (client === undefined || this.#acknowledgement === undefined || !this.#keeper.sure) return;
    try {
      await client.request(this.#acknowledgement, Ack.done, { timeout: CONFIRM_TIMEOUT });
    } catch {
      // What was not acknowledged comes again.
    }
  }

  #lose(reason: string): void {
    if (this.#lost.signal.aborted || this.#closing !== undefined) return;
    this.#parts.logger.warn({ consumer: this.name }, `the consumer is read again from what is not acknowledged: ${reason}`);
    this.#lost.abort(new OwnershipLostError(`consumer ${this.name} was lost: ${reason}`));
  }

  /** Goes on only when nothing was delivered that did not arrive, and nobody else owned the consumer meanwhile. */
  async #recover({ kind, reason }: PullTrouble): Promise<void> {
    if (kind === "refused") throw new InfrastructureError(`${this.name}: the server does not deliver: ${reason}`);
    if (kind === "unpinned") return this.#lose(`another instance owns it (${reason})`);
    const { api, wanted } = this.#parts;
    const info = await api
      .ask(this.#end, ({ consumers }) => consumers.info(wanted.stream, wanted.name))
      .catch((error: unknown) => {
        if (!this.#end.aborted) this.#lose(String(error));
        return undefined;
      });
    if (info === undefined) return;
    if (pinOf(info) !== this.#pin) return this.#lose("the server does not know its owner any more");
    if (info.delivered.consumer_seq !== this.#expected - 1) return this.#lose("messages that were sent did not arrive");
    this.#limit = info.config.max_ack_pending ?? -1;
    this.#acknowledge();
  }

  /** Windows may be waiting for the very messages that the server holds back: that would last for ever. */
  #checkStuck(delivered: number): void {
    const { clock, wanted } = this.#parts;
    if (delivered > 0) this.#came = clock.elapsed();
    if (this.#limit <= 0 || this.#unacknowledged.size < this.#limit || clock.elapsed() - this.#came < STUCK) return;
    const what = `its windows hold ${this.#unacknowledged.size} messages unacknowledged, and max_ack_pending of consumer "${wanted.name}" lets the server deliver no more: set it to -1 (nats consumer edit ${wanted.stream} ${wanted.name} --max-pending=-1)`;
    throw new ConfigError([{ where: `task ${wanted.task}`, what }]);
  }
}
