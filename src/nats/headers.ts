/**
 * NATS headers as bytes: `NATS/1.0\r\nName: value\r\n\r\n`. Read and written here because the client keeps them by name,
 * which loses their order, and takes longer for it than for the rest of a message.
 */
import type { Msg, MsgHdrs } from "@nats-io/transport-node";
import { headers as newHeaders } from "@nats-io/transport-node";

import type { EventHeaders } from "../batch.ts";
import { sizeOf } from "./delivery.ts";

const VERSION = "NATS/1.0";
const utf8 = new TextDecoder("utf-8");
const strictUtf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** The headers of a message in their order, without those that `hidden` names; undefined when there are none. */
export function readHeaders(message: Msg, hidden: ReadonlySet<string>): EventHeaders | undefined {
  const text = headerText(message);
  if (text === undefined) return undefined;
  const found: (readonly [string, string])[] = [];
  // The first line is the version, and, for statuses, a code.
  for (let start = text.indexOf("\r\n") + 2; start > 1;) {
    const end = text.indexOf("\r\n", start);
    if (end <= start) break;
    const colon = text.indexOf(":", start);
    if (colon > start && colon < end) {
      const name = text.slice(start, colon);
      if (!hidden.has(name)) found.push([name, text.slice(colon + 1, end).trim()]);
    }
    start = end + 2;
  }
  return found.length === 0 ? undefined : found;
}

/** The bytes before the payload are the headers: the client cuts both out of one buffer. */
function headerText(message: Msg): string | undefined {
  const { data } = message;
  const size = sizeOf(message) - Buffer.byteLength(message.subject) - Buffer.byteLength(message.reply ?? "") - data.length;
  if (size <= 0) return undefined;
  if (data.byteOffset >= size) {
    const text = utf8.decode(new Uint8Array(data.buffer, data.byteOffset - size, size));
    if (text.startsWith(VERSION)) return text;
  }
  if (message.headers === undefined) return undefined;
  return `${VERSION}\r\n${[...message.headers].flatMap(([name, values]) => values.map((value) => `${name}: ${value}\r\n`)).join("")}\r\n`;
}

/** The value of the first header of that name as text. */
export function headerValue(headers: EventHeaders | undefined, name: string): string | undefined {
  if (headers === undefined) return undefined;
  for (const [key, value] of headers) if (key === name) return typeof value === "string" ? value : utf8.decode(value);
  return undefined;
}

const NAME = /^[!#-9;-~]+$/;
const LINE_BREAK = /[\r\n]/;

/**
 * One header line. A value that is no text of one line is written in a form that NATS can carry: text with line breaks
 * percent-encodes them (`%0D`, `%0A`), bytes that are no such text become base64.
 * @throws {TypeError} when NATS can't carry the name
 */
export function headerLine(name: string, value: string | Uint8Array): string {
  if (!NAME.test(name))
    throw new TypeError(`NATS can't carry a header with the name ${JSON.stringify(name)}; names are ASCII without spaces and colons`);
  return `${name}: ${typeof value === "string" ? oneLine(value) : textOf(value)}\r\n`;
}

function oneLine(value: string): string {
  return LINE_BREAK.test(value) ? value.replaceAll("\r", "%0D").replaceAll("\n", "%0A") : value;
}

function textOf(value: Uint8Array): string {
  try {
    const text = strictUtf8.decode(value);
    if (!LINE_BREAK.test(text)) return text;
  } catch {
    // No text.
  }
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
}

/** What would not come back as it was: an edge of white space, a line break, and the sign of the encoding itself. */
const UNSAFE_IN_KEY = /^\s|\s$|[\r\n%]/;

/** The line of a header that carries a key. A key that a header would change is percent-encoded; `keyText` reads it. */
export function keyLine(name: string, key: string): string {
  return `${name}: ${UNSAFE_IN_KEY.test(key) ? encodeURIComponent(key) : key}\r\n`;
}

/** The key that a header carries. */
export function keyText(value: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** The bytes of a header block. @param lines as `headerLine` makes them, one after the other */
export function encodeHeaders(lines: string): Uint8Array {
  return encoder.encode(`${VERSION}\r\n${lines}\r\n`);
}

/** Headers whose bytes are made already, for the client's `publish`, which asks only for those. Set `bytes` before each call. */
export class EncodedHeaders {
  readonly headers: MsgHdrs & { encode(): Uint8Array };
  bytes: Uint8Array = new Uint8Array(0);

  constructor() {
    this.headers = Object.assign(newHeaders(), { encode: () => this.bytes });
  }
}
