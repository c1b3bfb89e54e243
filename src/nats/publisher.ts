import { JetStreamApiError } from "@nats-io/jetstream";
import type { Msg, NatsConnection as Client, Subscription } from "@nats-io/transport-node";
import { createInbox } from "@nats-io/transport-node";

import type { Clock } from "../clock.ts";
import { InfrastructureError } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import type { NatsLink } from "./connection.ts";
import type { Amount } from "./demand.ts";
import { EncodedHeaders } from "./headers.ts";
import { Repeats } from "./repeats.ts";

/** A message to store. */
export interface Outgoing {
  readonly subject: string;
  readonly payload: Uint8Array;
  /** The bytes of its header block. */
  readonly headers: Uint8Array;
}

/** What to do about a message that the server refused: an error for the caller, or undefined to send it again after a while. */
export type Judge = (message: Outgoing, refusal: JetStreamApiError | "no responders") => Promise<Error | undefined>;

/** One call of `publish`. */
interface Call {
  left: number;
  readonly settle: (error?: Error) => void;
  readonly refused: (message: Outgoing, refusal: JetStreamApiError | "no responders") => Promise<Error | undefined>;
  over: boolean;
  /** The first of its messages that will never be stored, and why. */
  failure: { readonly number: number; readonly error: Error } | undefined;
}

interface Queued {
  readonly message: Outgoing;
  readonly call: Call;
}

interface Sent extends Queued {
  /** When it was last sent, by the process's clock, in milliseconds. */
  at: number;
  /** How often it was sent. */
  times: number;
}

/** How long a confirmation may take until everything unconfirmed is sent again, in milliseconds. */
const CONFIRM_TIMEOUT = 10_000;
/** How long the first and the longest wait before what was refused is sent again, in milliseconds. */
const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 5000;

/**
 * Stores messages with a window of unconfirmed ones, in the order of the calls. When the connection was lost, or a
 * confirmation does not come, everything unconfirmed is sent again in the same order: with a message id, the stream drops
 * what it has already.
 */
export class Publisher implements AsyncDisposable {
  readonly #window: Amount;
  readonly #clock: Clock;
  readonly #overdue: () => void;
  readonly #repeats: Repeats;
  readonly #encoded = new EncodedHeaders();
  readonly #unwatch: () => void;
  /** Not yet sent. */
  #queue: Queued[] = [];
  #next = 0;
  /** Sent and not confirmed, by number, in the order of sending. */
  readonly #sent = new Map<number, Sent>();
  #sentBytes = 0;
  #number = 0;
  /** Refused for now: nothing new is sent until they have been sent again. */
  readonly #refused = new Set<number>();
  #failures = 0;
  #client: Client | undefined;
  #subscription: Subscription | undefined;
  #inbox = "";
  #cancelRetry: (() => void) | undefined;
  #cancelTimeout: (() => void) | undefined;

  /**
   * @param overdue told when a confirmation did not come in time, and what is unconfirmed is sent again
   * @param repeated told how many messages the stream dropped as repeats of what others had stored, once for each run of them
   */
  constructor(link: NatsLink, window: Amount, clock: Clock, overdue: () => void, repeated: (count: number) => void) {
    this.#window = window;
    this.#clock = clock;
    this.#overdue = overdue;
    this.#repeats = new Repeats(clock, repeated);
    this.#unwatch = link.watch((client) => this.#attach(client));
    this.#attach(link.client);
  }

  /**
   * Stores messages, and settles when all of them are confirmed. Rejects with the error that `judge` gives for the first
   * message that will never be stored, when all before it are confirmed, and with the reason of `signal` when that aborts.
   */
  publish(messages: readonly Outgoing[], judge: Judge, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (messages.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const abort = () => call.settle(signal.reason as Error);
      const call: Call = {
        left: messages.length,
        over: false,
        failure: undefined,
        refused: judge,
        settle: (error) => {
          if (call.over) return;
          call.over = true;
          unwatch();
          if (call.left === 0) return resolve();
          this.#forget(call);
          reject(error);
        },
      };
      const unwatch = onAbort(signal, abort);
      for (const message of messages) this.#queue.push({ message, call });
      this.#pump();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    this.#cancelRetry?.();
    this.#cancelTimeout?.();
    const error = new InfrastructureError("the sink was closed");
    for (const call of new Set([...this.#sent.values(), ...this.#queue.slice(this.#next)].map(({ call }) => call))) call.settle(error);
    this.#subscription?.unsubscribe();
    this.#repeats.end();
  }

  #attach(client: Client | undefined): void {
    this.#subscription?.unsubscribe();
    this.#client = client;
    this.#subscription = undefined;
    if (client === undefined || this.#number === 0) return;
    this.#sendAgain();
  }

  /** Subscribes when something is to be sent: an idle sink costs the server nothing. */
  #subscribe(client: Client): void {
    this.#inbox = createInbox();
    this.#subscription = client.subscribe(`${this.#inbox}.*`, { callback: (error, message) => this.#confirmed(error, message) });
  }

  #pump(): void {
    const client = this.#client;
    if (client === undefined || this.#refused.size > 0) return;
    while (this.#next < this.#queue.length && this.#sent.size < this.#window.messages) {
      const { message, call } = this.#queue[this.#next] as Queued;
      const size = sizeOf(message);
      if (this.#sent.size > 0 && this.#sentBytes + size > this.#window.bytes) break;
      this.#next++;
      if (call.over || call.failure !== undefined) continue;
      const number = ++this.#number;
      this.#sent.set(number, { message, call, at: 0, times: 0 });
      this.#sentBytes += size;
      this.#send(client, number);
    }
    if (this.#next === this.#queue.length) {
      this.#queue = [];
      this.#next = 0;
    } else if (this.#next > 4096) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    this.#watchTime();
  }

  #send(client: Client, number: number): void {
    const sent = this.#sent.get(number);
    if (sent === undefined) return;
    sent.at = this.#clock.elapsed();
    sent.times++;
    if (this.#subscription === undefined) this.#subscribe(client);
    this.#encoded.bytes = sent.message.headers;
    try {
      client.publish(sent.message.subject, sent.message.payload, { reply: `${this.#inbox}.${number}`, headers: this.#encoded.headers });
    } catch {
      // The connection was just lost: the link will say so, and it is sent again when that is back.
    }
  }

  /** Must not throw: the client would stop reading, for good and in silence. */
  #confirmed(error: Error | null, message: Msg): void {
    if (error !== null) {
      for (const call of new Set(Array.from(this.#sent.values(), ({ call }) => call))) {
        call.settle(new InfrastructureError(`NATS refuses to confirm: ${error.message}`, { cause: error }));
      }
      return;
    }
    const number = Number(message.subject.slice(this.#inbox.length + 1));
    const sent = this.#sent.get(number);
    if (sent === undefined) return;
    const answer = Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength);
    const refusal = refusalOf(message, answer);
    if (refusal !== undefined) return void this.#judge(number, sent, refusal);
    // What was sent twice from here is to be dropped once.
    if (sent.times === 1 && answer.includes(DUPLICATE)) this.#repeats.add();
    this.#done(number, sent);
  }

  #done(number: number, { message, call }: Sent): void {
    this.#sent.delete(number);
    this.#refused.delete(number);
    this.#sentBytes -= sizeOf(message);
    this.#failures = 0;
    call.left--;
    if (call.left === 0) call.settle();
    else this.#endFailed(call);
    this.#pump();
  }

  async #judge(number: number, { message, call }: Sent, refusal: JetStreamApiError | "no responders"): Promise<void> {
    this.#refused.add(number);
    let verdict: Error | undefined;
    try {
      verdict = await call.refused(message, refusal);
    } catch (error) {
      verdict = error instanceof Error ? error : new InfrastructureError(String(error));
    }
    if (verdict === undefined) this.#retryLater();
    else if (this.#sent.has(number)) this.#fail(number, call, verdict);
  }

  /** Gives up a message and those after it. What its caller counts as written are those before it: they must be stored first. */
  #fail(number: number, call: Call, error: Error): void {
    call.failure = { number, error };
    this.#forget(call, number);
    this.#endFailed(call);
  }

  #endFailed(call: Call): void {
    if (call.failure === undefined || [...this.#sent.values()].some((sent) => sent.call === call)) return;
    call.settle(call.failure.error);
  }

  #retryLater(): void {
    if (this.#cancelRetry !== undefined) return;
    const wait = Math.min(SHORTEST_WAIT * 2 ** Math.min(this.#failures++, 10), LONGEST_WAIT);
    this.#cancelRetry = this.#clock.after(wait, () => {
      this.#cancelRetry = undefined;
      const numbers = [...this.#refused].sort((a, b) => a - b);
      this.#refused.clear();
      if (this.#client === undefined) return;
      for (const number of numbers) this.#send(this.#client, number);
      this.#pump();
    });
  }

  /** Sends everything unconfirmed again, in order, before anything new. */
  #sendAgain(): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#refused.clear();
    for (const number of this.#sent.keys()) this.#send(client, number);
    this.#pump();
  }

  #watchTime(): void {
    if (this.#sent.size === 0 || this.#cancelTimeout !== undefined) return;
    this.#cancelTimeout = this.#clock.after(CONFIRM_TIMEOUT / 2, () => {
      this.#cancelTimeout = undefined;
      const [first] = this.#sent.values();
      if (first !== undefined && this.#refused.size === 0 && this.#clock.elapsed() - first.at >= CONFIRM_TIMEOUT) {
        if (this.#client !== undefined) this.#overdue();
        this.#sendAgain();
      }
      this.#watchTime();
    });
  }

  /** Leaves out what a call still had to send, from a number on. */
  #forget(call: Call, from = 0): void {
    for (const [number, sent] of this.#sent) {
      if (sent.call !== call || number < from) continue;
      this.#sent.delete(number);
      this.#refused.delete(number);
      this.#sentBytes -= sizeOf(sent.message);
    }
    // Another call's messages may wait for room. Not now: its caller is not to run in the middle of ours.
    queueMicrotask(() => this.#pump());
  }
}

function sizeOf(message: Outgoing): number {
  return message.payload.length + message.headers.length + message.subject.length;
}

const ERROR = Buffer.from('"error"');
/** With the colon no name of a stream has it. */
const DUPLICATE = Buffer.from('"duplicate":');

/** What the answer to a stored message says, when it is no confirmation. */
function refusalOf(message: Msg, answer: Buffer): JetStreamApiError | "no responders" | undefined {
  if (answer.length === 0) return "no responders";
  if (!answer.includes(ERROR)) return undefined;
  try {
    const { error } = message.json<{ error?: ConstructorParameters<typeof JetStreamApiError>[0] }>();
    return error === undefined ? undefined : new JetStreamApiError(error);
  } catch {
    return new JetStreamApiError({ code: 503, err_code: 0, description: "an answer that is no JSON" });
  }
}
