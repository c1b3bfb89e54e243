import type { Msg, NatsConnection as Client, Subscription } from "@nats-io/transport-node";
import { createInbox } from "@nats-io/transport-node";

import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import type { NatsLink } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import { parseDelivery } from "./delivery.ts";
import type { Amount } from "./demand.ts";
import { Demand } from "./demand.ts";

/** What to pull from. */
export interface PullTarget {
  readonly stream: string;
  readonly consumer: string;
  /** The priority group that requests belong to, and the id by which the server knows their pinned client. */
  readonly group?: string | undefined;
  readonly pin?: string | undefined;
}

/**
 * Why messages stopped coming: `suspect` when the consumer may be gone (ask, then `restart`), `unpinned` when another client
 * owns it, `refused` when the server does not take requests like ours.
 */
export interface PullTrouble {
  readonly kind: "suspect" | "unpinned" | "refused";
  readonly reason: string;
}

/** How long a request waits in the server, and how often the server shows that it still has it, in milliseconds. */
const LONGEST_EXPIRES = 60_000;
const HEARTBEAT = 10_000;
/** Nothing heard for so long although a request waits in the server: it was lost. In milliseconds. */
const SILENCE = 25_000;
/** How long the server may take to send what is on its way when a subscription closes, in milliseconds. */
const CLOSE_TIMEOUT = 2000;
/** When nothing of what was asked for comes for so long, it is not on its way. In milliseconds. */
const QUIET = 500;

/**
 * Messages of one pull consumer, asked for ahead of need up to a limit in count and bytes. Requests wait in the server, so
 * an idle consumer costs a heartbeat now and then and messages come when they are there.
 */
export class PullSubscription implements AsyncDisposable {
  readonly #link: NatsLink;
  readonly #target: PullTarget;
  readonly #clock: Clock;
  readonly #demand: Demand;
  readonly #unwatch: () => void;
  #waiting: Delivery[] = [];
  #next = 0;
  #client: Client | undefined;
  #subscription: Subscription | undefined;
  #wake: (() => void) | undefined;
  #heard = 0;
  #cancelWatchdog: (() => void) | undefined;
  #trouble: PullTrouble | undefined;
  #closed = false;
  #finishing = false;
  #expires = LONGEST_EXPIRES;

  constructor(link: NatsLink, target: PullTarget, limits: Amount, clock: Clock) {
    this.#link = link;
    this.#target = target;
    this.#clock = clock;
    this.#demand = new Demand(limits);
    this.#unwatch = link.watch((client) => {
      this.#detach();
      if (client !== undefined) this.#fail("suspect", "the connection was lost");
    });
    this.restart();
  }

  /** Set when messages stopped coming for a reason to look into. `restart` clears it. */
  get trouble(): PullTrouble | undefined {
    return this.#trouble;
  }

  /** What has arrived and was not yet taken. */
  *arrived(): Generator<Delivery> {
    for (let index = this.#next; index < this.#waiting.length; index++) yield this.#waiting[index] as Delivery;
  }

  /** Starts anew, forgetting what the server was asked for; what has arrived stays. Does nothing while the connection is away. */
  restart(): void {
    this.#detach();
    const { client } = this.#link;
    if (this.#closed || client === undefined) return;
    this.#trouble = undefined;
    this.#client = client;
    // A new inbox: what the server still has for the old one must not count for the new requests.
    this.#subscription = client.subscribe(createInbox(), { callback: (error, message) => this.#receive(error, message) });
    this.#demand.maxPayload = client.info?.max_payload ?? 0;
    this.#heard = this.#clock.elapsed();
    this.#ask();
    this.#watchdog();
  }

  /** What has arrived, at most so many messages and bytes, but at least one if there is one; then asks for more. */
  take(messages: number, bytes: number): Delivery[] {
    const from = this.#next;
    let size = 0;
    while (this.#next < this.#waiting.length && this.#next - from < messages) {
      size += (this.#waiting[this.#next] as Delivery).size;
      if (size > bytes && this.#next > from) break;
      this.#next++;
    }
    const taken = this.#waiting.slice(from, this.#next);
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
    for (const delivery of taken) this.#demand.taken(delivery.size);
    this.#ask();
    return taken;
  }

  /** Waits until something has arrived, there is trouble, `ms` have passed or `signal` aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#next < this.#waiting.length || this.#trouble !== undefined || signal.aborted || this.#closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    const cancel = this.#clock.after(ms, wake);
    this.#wake = wake;
    const unwatch = onAbort(signal, wake);
    await promise;
    this.#wake = undefined;
    unwatch();
    cancel();
  }

  /**
   * Stops asking, and waits until what was asked for has come, or nothing comes any more. A message that the server is about
   * to send when the subscription closes is lost to this delivery, which matters where the server counts them.
   */
  async finish(): Promise<void> {
    this.#finishing = true;
    for (let before = -1; this.#demand.asked && this.#waiting.length > before;) {
      before = this.#waiting.length;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#clock.after(QUIET, resolve);
      await promise;
    }
  }

  /** Stops asking, takes in what the server has already sent, and gives what was not taken. */
  async close(): Promise<readonly Delivery[]> {
    if (!this.#closed) {
      this.#closed = true;
      this.#unwatch();
      this.#cancelWatchdog?.();
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = this.#clock.after(CLOSE_TIMEOUT, resolve);
      // When the connection is away, the server will deliver again what it had sent.
      this.#subscription?.drain().then(resolve, resolve);
      if (this.#subscription === undefined) resolve();
      await promise;
      cancel();
      this.#wake?.();
    }
    return this.#waiting.slice(this.#next);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #detach(): void {
    this.#cancelWatchdog?.();
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#client = undefined;
    this.#demand.forget();
  }

  #ask(): void {
    if (this.#client === undefined || this.#closed || this.#finishing || this.#trouble !== undefined) return;
    const more = this.#demand.more();
    if (more === undefined) return;
    const { stream, consumer, group, pin } = this.#target;
    const request = {
      batch: more.messages,
      max_bytes: more.bytes,
      expires: this.#expires * 1_000_000,
      // The server wants at least two in the life of a request.
      idle_heartbeat: Math.min(HEARTBEAT, this.#expires / 2) * 1_000_000,
      group,
      id: pin,
    };
    try {
      const reply = this.#subscription?.getSubject() ?? "";
      this.#client.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSON.stringify(request), { reply });
    } catch {
      // The connection was just lost: the link will say so.
    }
  }

  /** Must not throw: the client would stop reading, for good and in silence. */
  #receive(error: Error | null, message: Msg): void {
    if (error !== null) {
      this.#fail("refused", messageOf(error));
      return;
    }
    this.#heard = this.#clock.elapsed();
    const delivery = parseDelivery(message, this.#heard);
    if (delivery === undefined) this.#status(message);
    else {
      this.#waiting.push(delivery);
      this.#demand.arrived(delivery.size);
    }
    if (!this.#closed) this.#ask();
    if (delivery !== undefined || this.#trouble !== undefined) this.#wake?.();
  }

  /** A status of the server: ADR-13 and ADR-37 of NATS. */
  #status(message: Msg): void {
    const code = message.headers?.code ?? 0;
    if (code === 100) return;
    const reason = message.headers?.description ?? "";
    this.#demand.ended(headerNumber(message, "Nats-Pending-Messages"), headerNumber(message, "Nats-Pending-Bytes"));
    if (code === 423) this.#fail("unpinned", reason);
    else if (code === 503) this.#fail("suspect", "nobody answers for the consumer");
    else if (code === 400) this.#fail("refused", reason);
    else if (code === 409) this.#conflict(reason);
  }

  #conflict(reason: string): void {
    const text = reason.toLowerCase();
    // Ends of a request as they should be; what was left of it is asked for again.
    if (text === "batch completed" || text === "message size exceeds maxbytes") return;
    const limit = /^exceeded (maxrequest\w+) of (\d+)/.exec(text);
    if (limit?.[1] === "maxrequestexpires" && this.#expires > 1000) {
      this.#expires = Math.max(1000, this.#expires / 2);
      return;
    }
    if (limit !== null && this.#demand.limit(limit[1] ?? "", Number(limit[2]))) return;
    if (limit !== null || text === "consumer is push based") this.#fail("refused", reason);
    else this.#fail("suspect", reason);
  }

  #fail(kind: PullTrouble["kind"], reason: string): void {
    this.#trouble ??= { kind, reason };
    this.#wake?.();
  }

  #watchdog(): void {
    this.#cancelWatchdog = this.#clock.after(HEARTBEAT, () => {
      const silence = this.#clock.elapsed() - this.#heard;
      if (this.#demand.asked && silence > SILENCE) this.#fail("suspect", `no heartbeat for ${Math.round(silence / 1000)} s`);
      this.#watchdog();
    });
  }
}

function headerNumber(message: Msg, name: string): number | undefined {
  const text = message.headers?.get(name) ?? "";
  return text === "" ? undefined : Number(text);
}
