import { InfrastructureError, InputError, messageOf, ModelError, NotReadyError, RefusedError, shortened } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import { RetryableError } from "../../pipeline/retry.ts";
import { retryAfterOf } from "../http/retry-after.ts";
import type { HttpReply } from "./http-exchange.ts";

/** How much of a server's message is told. Characters. */
const MOST_OF_A_MESSAGE = 500;

/** Beside 5xx: the server, or what stands before it, may take the same request later. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/** What refuses the caller, or lies in the address: no event is at fault, and it stays so until somebody changes something. */
const REFUSED_CALLERS: ReadonlySet<number> = new Set([401, 403, 405, 407]);

/** What a failure is told with. */
export interface Telling {
  /** Takes secrets out of what the server says: it may repeat what it was sent. */
  readonly hide: (text: string) => string;
}

function answered(what: string, said: string, { hide }: Telling): string {
  return `the server answered ${what}${said === "" ? "" : `: ${shortened(hide(said), MOST_OF_A_MESSAGE)}`}`;
}

/**
 * What a status other than 200 means.
 * @param now milliseconds since the epoch
 */
export function httpFailure(reply: HttpReply, now: number, telling: Telling): Error {
  const { status, headers } = reply;
  const message = answered(String(status), messageIn(reply), telling);
  if (status === 404) return new NotReadyError(message);
  if (status >= 500 || RETRYABLE_STATUSES.has(status))
    return new RetryableError(message, { retryAfter: retryAfterOf(headers["retry-after"], now) });
  if (status < 400 || REFUSED_CALLERS.has(status)) return new InfrastructureError(message);
  return new RefusedError(message);
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
export function grpcFailure({ code, details, retryAfter }: GrpcFailure, telling: Telling): Error {
  const name = CODES[code] ?? `code ${code}`;
  const message = answered(name, details, telling);
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
      return new RefusedError(message);
    case "RESOURCE_EXHAUSTED":
      // Also a message that is larger than the server takes: half of the rows may pass.
      return /larger than max/i.test(details) ? new RefusedError(message) : new RetryableError(message, { retryAfter });
    default:
      return new RetryableError(message, { retryAfter });
  }
}

/** The same error, told with the model and where it is. */
export function toldOf(error: unknown, model: ModelIdentity, address: string): unknown {
  if (error instanceof RefusedError || error instanceof InputError) return new ModelError(model, error);
  return withPlace(error, `model ${model.name}@${model.version} at ${address}`);
}

/** An error of the infrastructure, told with where it arose. */
export function withPlace(error: unknown, place: string): unknown {
  if (!(error instanceof InfrastructureError)) return error;
  const message = `${place}: ${messageOf(error)}`;
  if (error instanceof RetryableError) return new RetryableError(message, { cause: error, retryAfter: error.retryAfter });
  if (error instanceof NotReadyError) return new NotReadyError(message, { cause: error });
  return new InfrastructureError(message, { cause: error });
}
