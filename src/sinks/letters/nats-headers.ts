/** Headers of a dead letter in the form that NATS can carry: names without spaces, values of one line. */
import { isUtf8 } from "node:buffer";

import type { EventHeaders } from "../../batch.ts";
import type { DeadLetter } from "../../dead-letter.ts";
import { headersFromJson, headersToJson } from "./headers-json.ts";
import { headersOf, letterOfHeaders, OWN } from "./headers.ts";

/** Set where the value is null: a payload can only be empty. */
const NULL = "millrace-null";
/** All headers of the original as JSON, where NATS would change one of them. */
const ALL = "millrace-headers";

const NAME = /^[!#-9;-~]+$/;
/** Line breaks, an edge of white space, and the sign of the encoding itself. */
const UNSAFE = /^\s|\s$|[\r\n\0%]/;

/**
 * The headers of a letter as `headersOf` has them, our own percent-encoded where NATS would change them. Of the original's
 * headers those stand there that NATS carries as they are; if it would change one, `millrace-headers` has all as JSON.
 */
export function natsHeadersOf(letter: DeadLetter): EventHeaders {
  const { headers = [] } = letter;
  const carried = headers.filter(([name, value]) => NAME.test(name) && isPlain(value));
  const own = headersOf({ ...letter, headers: undefined }).map(([name, text]) => [name, encoded(String(text))] as const);
  const original = headersOf({ ...letter, headers: carried }).slice(0, carried.length);
  const all = carried.length === headers.length ? [] : [[ALL, encoded(JSON.stringify(headersToJson(headers)))] as const];
  return [...original, ...own, ...all, ...(letter.value === null ? [[NULL, "true"] as const] : [])];
}

/** The letter of a message; undefined when it is none. */
export function letterOfMessage(headers: EventHeaders | undefined, payload: Uint8Array): DeadLetter | undefined {
  // What the sink added for the server is not of the letter.
  const decodedHeaders = headers
    ?.filter(([name]) => !/^nats-/i.test(name))
    .map(([name, value]) => {
      return [name, name.startsWith(OWN) && typeof value === "string" ? decoded(value) : value] as const;
    });
  const isNull = decodedHeaders?.some(([name]) => name === NULL) ?? false;
  const letter = letterOfHeaders(decodedHeaders, isNull ? null : payload);
  const all = decodedHeaders?.find(([name]) => name === ALL)?.[1];
  return letter === undefined || all === undefined ? letter : { ...letter, headers: headersFromJson(JSON.parse(String(all))) };
}

function isPlain(value: string | Uint8Array): boolean {
  if (typeof value !== "string" && !isUtf8(value)) return false;
  return !/^\s|\s$|[\r\n\0]/.test(typeof value === "string" ? value : Buffer.from(value).toString());
}

function encoded(text: string): string {
  return UNSAFE.test(text) ? encodeURIComponent(text.toWellFormed()) : text;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
