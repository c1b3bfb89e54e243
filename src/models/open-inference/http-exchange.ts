import type { IncomingHttpHeaders } from "node:http";

import type { Dispatcher } from "undici";

import type { Clock } from "../../clock.ts";
import { messageOf, RefusedError } from "../../errors.ts";
import { onAbort } from "../../on-abort.ts";
import { RetryableError } from "../../pipeline/retry.ts";
import { atTurnEnd } from "./turn-end.ts";

/** A request, to be sent over a pool of its origin. */
export interface HttpRequest {
  readonly method: Dispatcher.HttpMethod;
  /** With the query: `/v2/models/digits/infer`. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: string[];
  readonly body?: string | Uint8Array | undefined;
}

/** What came back, whole. */
export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What a request may take. */
export interface ExchangeLimits {
  readonly clock: Clock;
  /** Aborts when nobody waits for the reply any more. */
  readonly signal: AbortSignal;
  /** Milliseconds from the call to the last byte of the reply. */
  readonly timeout: number;
  readonly maxReplyBytes: number;
}

/** A reply is longer than it may be; reading ends there. */
export function tooLarge(maxReplyBytes: number): RefusedError {
  return new RefusedError(`the reply has more than ${maxReplyBytes.toLocaleString("en")} bytes (maxReplyBytes)`);
}

/** Of a reply that tells an error, this is enough to read. Bytes. */
const MOST_OF_AN_ERROR = 64 * 1024;

/**
 * One request and its whole reply, whatever its status. It goes by undici's `dispatch`: a stream for each reply, as `request` makes
 * one, costs more than all else here.
 * @throws {RetryableError} when the connection can't be made or breaks, or the time is up
 * @throws {RefusedError} when the reply is too long
 * @throws the signal's reason when it aborts
 */
export function exchange(pool: Dispatcher, request: HttpRequest, limits: ExchangeLimits): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const { signal } = limits;
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const started = new Exchange(limits, resolve, reject);
    try {
      const { method, path, headers, body = null } = request;
      pool.dispatch({ method, path, headers, body }, started);
    } catch (error) {
      started.onResponseError(undefined, error as Error);
    }
  });
}

/** Exchanges that are under way in this process. */
let running = 0;

class Exchange implements Dispatcher.DispatchHandler {
  readonly #limits: ExchangeLimits;
  readonly #resolve: (reply: HttpReply) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #cancelTimer: () => void;
  readonly #unwatch: () => void;
  readonly #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: IncomingHttpHeaders = {};
  #length = 0;
  #settled = false;

  constructor(limits: ExchangeLimits, resolve: (reply: HttpReply) => void, reject: (reason: unknown) => void) {
    this.#limits = limits;
    this.#resolve = resolve;
    this.#reject = reject;
    const timeout = Math.ceil(limits.timeout);
    this.#cancelTimer = limits.clock.after(timeout, () => this.#late(timeout), "deadline");
    this.#unwatch = onAbort(limits.signal, () => this.#fail(limits.signal.reason));
    running += 1;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // It was waiting for a connection when it was given up.
    if (this.#settled) controller.abort(new Error("given up"));
    else this.#controller = controller;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.#settled) return;
    this.#status = status;
    this.#headers = headers;
    if (status < 400 && Number(headers["content-length"] ?? 0) > this.#limits.maxReplyBytes) this.#tooLarge();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#status >= 400 && this.#length > MOST_OF_AN_ERROR) {
      this.onResponseEnd();
      this.#controller?.abort(new Error("enough was read"));
    } else if (this.#length > this.#limits.maxReplyBytes) this.#tooLarge();
  }

  onResponseEnd(): void {
    if (!this.#settle()) return;
    const [first] = this.#chunks;
    const body = first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#length);
    const reply = { status: this.#status, headers: this.#headers, body };
    if (running === 0) this.#resolve(reply);
    else atTurnEnd(() => this.#resolve(reply));
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#fail(new RetryableError(messageOf(error), { cause: error }));
  }

  #late(timeout: number): void {
    const got = this.#status === 0 ? "no answer" : `only ${this.#length.toLocaleString("en")} bytes of the reply came`;
    this.#fail(new RetryableError(`${got} within ${timeout.toLocaleString("en")} ms`));
  }

  #tooLarge(): void {
    this.#fail(tooLarge(this.#limits.maxReplyBytes));
  }

  #fail(reason: unknown): void {
    if (!this.#settle()) return;
    this.#controller?.abort(reason instanceof Error ? reason : new Error(messageOf(reason)));
    this.#reject(reason);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    running -= 1;
    this.#cancelTimer();
    this.#unwatch();
    return true;
  }
}
