import type { HttpRequests, Made, RequestHeaders } from "./options.ts";
import { refusedBy } from "./refused.ts";

/** A request as it is sent. */
export interface HttpRequest {
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array | null;
  /** Names it in errors: the model, the method and the URL, without what may be secret in it. */
  readonly shown: string;
}

/** Makes requests of values, as the options say. */
export class RequestMaker {
  readonly #subject: string;
  readonly #options: HttpRequests;
  /** Where every request goes, if the URL and what goes behind it are the same for all. */
  readonly #target: Target | undefined;

  /**
   * @param subject begins every error
   * @throws {TypeError} when a URL that is given is none
   */
  constructor(subject: string, options: HttpRequests) {
    this.#subject = subject;
    this.#options = options;
    const { url, subpath } = options;
    if (typeof url === "function") return;
    const target = targetOf(url, typeof subpath === "function" ? undefined : subpath);
    if (typeof subpath !== "function") this.#target = target;
  }

  /** @throws {RefusedError} when no request can be made of it */
  make(value: unknown, event: unknown): HttpRequest {
    try {
      return this.#make(value, event);
    } catch (error) {
      throw refusedBy(error, `${this.#subject}: no request can be made`);
    }
  }

  #make(value: unknown, event: unknown): HttpRequest {
    const { url, subpath, method = "POST", headers, body } = this.#options;
    const verb = made(method, value, event).toUpperCase();
    const target = this.#target ?? targetOf(made(url, value, event), subpath === undefined ? undefined : made(subpath, value, event));
    const given: RequestHeaders = headers === undefined ? {} : made(headers, value, event);
    const sent: Record<string, string> = {};
    if (target.authorization !== undefined) sent["authorization"] = target.authorization;
    for (const [name, content] of Object.entries(given)) sent[name.toLowerCase()] = String(content);
    const { origin, path } = target;
    const shown = `${this.#subject}: ${verb} ${target.shown}`;
    if (verb === "GET" || verb === "HEAD") return { origin, path, method: verb, headers: sent, body: null, shown };
    const { content, type } = encoded(body === undefined ? value : made(body, value, event));
    sent["content-type"] ??= type;
    return { origin, path, method: verb, headers: sent, body: content, shown };
  }
}

function made<T>(given: Made<T, unknown, unknown>, value: unknown, event: unknown): T {
  return typeof given === "function" ? (given as (value: unknown, event: unknown) => T)(value, event) : given;
}

interface Target {
  readonly origin: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly shown: string;
}

/** @throws {TypeError} when it is no URL of an HTTP server */
export function targetOf(given: string | URL, subpath?: string): Target {
  // What is wrong with it is not told by showing it: there may be a password in it.
  if (!URL.canParse(String(given))) throw new TypeError('the url can\'t be read as one; write it as "http://host:port/path"');
  const url = new URL(given);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new TypeError(`the url begins with ${url.protocol}//; give http:// or https://`);
  let { search } = url;
  if (subpath !== undefined && subpath !== "") {
    const [path = "", query] = subpath.split("?", 2);
    // By way of a URL, so that what can't stand in a path is escaped.
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`;
    if (query !== undefined) search = search === "" ? `?${query}` : `${search}&${query}`;
  }
  url.search = search;
  const { username, password } = url;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    origin: url.origin,
    path: url.pathname + url.search,
    authorization: credentials === ":" ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`,
    shown: url.origin + url.pathname,
  };
}

function encoded(body: unknown): { readonly content: string | Uint8Array; readonly type: string } {
  if (typeof body === "string") return { content: body, type: "text/plain; charset=utf-8" };
  if (body instanceof Uint8Array) return { content: body, type: "application/octet-stream" };
  const content = JSON.stringify(body) as string | undefined;
  if (content === undefined) throw new TypeError(`there is no JSON for a body that is ${typeof body}`);
  return { content, type: "application/json" };
}
