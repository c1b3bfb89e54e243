import type { Event } from "../../batch.ts";
import type { Duration } from "../../duration.ts";
import type { CircuitBreakerOptions } from "../circuit-breaker.ts";

/** A value, or a function that makes it of what a request is for. */
export type Made<T, V, E> = T | ((value: V, event: E) => T);

/** Text and numbers as headers of a request, by their names. */
export type RequestHeaders = Readonly<Record<string, string | number>>;

/** An HTTP reply with its whole body. Its status is one of 200 to 299. */
export interface HttpReply {
  readonly status: number;
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly bytes: Uint8Array;
  text(): string;
  /** @throws {SyntaxError} when the body is no JSON */
  json(): unknown;
}

/** What requests are made of, whether each is for one row or for several: of V, a value or several, and E, their events. */
export interface HttpRequestOptions<V, E, R> {
  /**
   * Where requests go. Of a user and password in it the header `authorization` is made. A function may send what is in the input's
   * events anywhere, so it should choose among addresses that it knows.
   */
  readonly url: Made<string | URL, V, E>;
  /** Default "POST". */
  readonly method?: Made<string, V, E> | undefined;
  /** Default: `content-type` by the body. */
  readonly headers?: Made<RequestHeaders, V, E> | undefined;
  /** Default: the value. Text and bytes are sent as they are, anything else as JSON. GET and HEAD have none. */
  readonly body?: object | string | number | boolean | null | ((value: V, event: E) => unknown) | undefined;
  /** Goes behind the path of the URL. */
  readonly subpath?: Made<string, V, E> | undefined;
  /** What becomes of a reply; default "json". A function gets the reply itself. */
  readonly reply?: "json" | "text" | "bytes" | ((reply: HttpReply, value: V, event: E) => R) | undefined;
}

/** What does not depend on the rows. */
export interface HttpLimits {
  /** Default: the host and path of the URL. */
  readonly name?: string | undefined;
  /** Default "1". */
  readonly version?: string | undefined;
  /** Time for one request, from its beginning to the end of its reply; default "30s". */
  readonly timeout?: Duration | undefined;
  /** The most bytes of a reply; default 16 MiB. */
  readonly maxReplyBytes?: number | undefined;
  /** The most requests under way at a time, over all pipelines of the worker; default 32. */
  readonly concurrency?: number | undefined;
  /** When the endpoint is left alone for a while; default: as CircuitBreaker says. */
  readonly breaker?: CircuitBreakerOptions | "off" | undefined;
}

/** One request for each row. A row whose request fails fails alone. */
export interface HttpRowOptions<In, Out> extends HttpRequestOptions<In, Readonly<Event<In>>, Out>, HttpLimits {
  readonly rows?: "one" | undefined;
}

/** One request for all rows of a call: the values are an array of them, the reply is an array with one result for each. */
export interface HttpBatchOptions<In, Out>
  extends HttpRequestOptions<readonly In[], readonly Readonly<Event<In>>[], ArrayLike<Out>>, HttpLimits {
  readonly rows: "batch";
}

/** Options as what runs has them: types of values are forgotten. */
export type HttpRequests = HttpRequestOptions<unknown, unknown, unknown>;
