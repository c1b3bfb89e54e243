import { InfrastructureError, messageOf, NotReadyError, shortened } from "../../errors.ts";
import { RetryableError } from "../../pipeline/retry.ts";
import type { HttpReply } from "./http-exchange.ts";
import { retryAfter } from "./retry-after.ts";

/** The server refuses these inputs: asking again with the same would not help. */
export class RefusedRequestError extends Error {
  override readonly name = "RefusedRequestError";
}

/** How much of a server's message is told. Characters. */
const MOST_OF_A_MESSAGE = 500;

/** Beside 5xx: the server, or what stands before it, may take the same request later. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/** What refuses the caller, or lies in the address: no event is at fault, and it stays so until somebody changes something. */
const REFUSED_CALLERS: ReadonlySet<number> = new Set([401, 403, 405, 407]);

/**
 * What a status other than 200 means.
 * @param now milliseconds since the epoch
 */
export function httpFailure(reply: HttpReply, now: number): Error {
  const { status, headers } = reply;
  const said = messageIn(reply);
  const message = `the server answered ${status}${said === "" ? "" : `: ${shortened(said, MOST_OF_A_MESSAGE)}`}`;
  if (status === 404) return new NotReadyError(message);
  if (status >= 500 || RETRYABLE_STATUSES.has(status))
    return new RetryableError(message, { retryAfter: retryAfter(headers["retry-after"], now) });
  if (status < 400 || REFUSED_CALLERS.has(status)) return new InfrastructureError(message);
  return new RefusedRequestError(message);
}

/** `error` by the protocol, `detail` of FastAPI, on which MLServer stands; else text as it is, unless it is a page. */
function messageIn({ headers, body }: HttpReply): string {
  const text = body.toString("utf8").trim();
  try {
    const { error, detail, message } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const said = error ?? detail ?? message ?? text;
    return typeof said === "string" ? said : JSON.stringify(said);
  } catch {
    return headers["content-type"]?.startsWith("text/html") === true ? "" : text;
  }
}

/** What is known of a failed gRPC call; see https://grpc.io/docs/guides/status-codes. */
export interface GrpcFailure {
  readonly code: number;
  readonly details: string;
  /** Milliseconds, where the server says when to come again. */
  readonly retryAfter?: number | undefined;
}

const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** What a status other than OK means: as the HTTP status that gRPC's documentation puts beside it. */
export function grpcFailure({ code, details, retryAfter }: GrpcFailure): Error {
  const name = CODES[code] ?? `code ${code}`;
  const message = `the server answered ${name}${details === "" ? "" : `: ${shortened(details, MOST_OF_A_MESSAGE)}`}`;
  switch (name) {
    case "NOT_FOUND":
      return new NotReadyError(message);
    case "PERMISSION_DENIED":
    case "UNAUTHENTICATED":
    case "UNIMPLEMENTED":
      return new InfrastructureError(message);
    case "INVALID_ARGUMENT":
    case "ALREADY_EXISTS":
    case "FAILED_PRECONDITION":
    case "OUT_OF_RANGE":
    case "DATA_LOSS":
      return new RefusedRequestError(message);
    case "RESOURCE_EXHAUSTED":
      // Also a message that is larger than the server takes: half of the rows may pass.
      return /larger than max/i.test(details) ? new RefusedRequestError(message) : new RetryableError(message, { retryAfter });
    default:
      return new RetryableError(message, { retryAfter });
  }
}

/** The same error, told with where it arose; what is no error of the infrastructure is told so elsewhere (ModelError). */
export function withPlace(error: unknown, place: string): unknown {
  if (!(error instanceof InfrastructureError)) return error;
  const message = `${place}: ${messageOf(error)}`;
  if (error instanceof RetryableError) return new RetryableError(message, { cause: error, retryAfter: error.retryAfter });
  if (error instanceof NotReadyError) return new NotReadyError(message, { cause: error });
  return new InfrastructureError(message, { cause: error });
}
