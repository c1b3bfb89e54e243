import { request as send, Agent } from "undici";

import type { Clock } from "../../clock.ts";
import { messageOf, MillraceError, RefusedError } from "../../errors.ts";
import type { ModelCall } from "../../model.ts";
import { onAbort } from "../../on-abort.ts";
import { RetryableError } from "../../pipeline/retry.ts";
import { WholeReply } from "./reply.ts";
import type { HttpRequest } from "./request.ts";
import { retryAfterOf } from "./retry-after.ts";

/** The connections of a process to all endpoints: a pool for each of them, which goes with its last connection. */
export class HttpConnections implements AsyncDisposable {
  readonly agent = new Agent({ connections: 256, maxOrigins: 1000, connect: { timeout: 10_000 } });

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.destroy();
  }
}

/** How long a request may take, and what may come of it. */
export interface ExchangeLimits {
  /** Milliseconds. */
  readonly timeout: number;
  readonly maxReplyBytes: number;
}

/**
 * Sends a request and reads the whole reply.
 * @throws {RetryableError} when the endpoint is away, too late or overloaded (408, 425, 429, 5xx)
 * @throws {RefusedError} when it refuses the request, or its reply is too large
 * Rejects with the reason of the call's signal when that aborts.
 */
export async function exchange(
  connections: HttpConnections,
  request: HttpRequest,
  limits: ExchangeLimits,
  call: Pick<ModelCall, "signal" | "until">,
  clock: Clock,
): Promise<WholeReply> {
  const { signal, until } = call;
  signal.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  const unwatch = onAbort(signal, abort);
  const time = Math.min(limits.timeout, until - clock.elapsed());
  const late = new RetryableError(`${request.shown}: no answer within ${Math.max(0, Math.round(time))} ms`);
  const cancel = clock.after(Math.max(0, time), () => controller.abort(late), "deadline");
  try {
    const reply = await roundTrip(connections, request, limits.maxReplyBytes, controller.signal);
    if (reply.status < 200 || reply.status > 299) throw refusal(request, reply, clock);
    return reply;
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error instanceof MillraceError ? error : failure(request, error);
  } finally {
    cancel();
    unwatch();
  }
}

async function roundTrip(
  { agent }: HttpConnections,
  { origin, path, method, headers, body }: HttpRequest,
  maxReplyBytes: number,
  signal: AbortSignal,
): Promise<WholeReply> {
  // No times of undici's own: they would end a slow request that may still have time.
  const options = { dispatcher: agent, method, headers, body, signal, headersTimeout: 0, bodyTimeout: 0 };
  const reply = await send(origin + path, options);
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop early destroys the body, and with it the connection, so that nothing more of it comes.
  for await (const chunk of reply.body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxReplyBytes) throw new ReplyTooLarge();
    chunks.push(chunk);
  }
  return new WholeReply(reply.statusCode, reply.headers, chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size));
}

class ReplyTooLarge extends Error {}

/** What a reply that is no answer means. */
function refusal(request: HttpRequest, reply: WholeReply, clock: Clock): MillraceError {
  const { status } = reply;
  const what = `${request.shown}: answered ${status} with ${reply.shown()}`;
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return new RetryableError(what, { retryAfter: retryAfterOf(reply.headers["retry-after"], clock.now()) });
  return new RefusedError(status >= 300 && status < 400 ? `${what}; redirects are not followed, so give the url that it leads to` : what);
}

/** Errors of undici that no other attempt can change: what was to be sent is no HTTP, or the reply has headers beyond all measure. */
const HOPELESS = new Set([
  "UND_ERR_INVALID_ARG",
  "UND_ERR_NOT_SUPPORTED",
  "UND_ERR_HEADERS_OVERFLOW",
  "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
]);

function failure(request: HttpRequest, error: unknown): MillraceError {
  if (error instanceof ReplyTooLarge) return new RefusedError(`${request.shown}: the reply is larger than maxReplyBytes allows`);
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  const what = `${request.shown}: ${messageOf(error)}`;
  if (typeof code === "string" && HOPELESS.has(code)) return new RefusedError(what, { cause: error });
  return new RetryableError(what, { cause: error });
}
