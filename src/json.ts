/**
 * JSON as it comes from outside: read without trust, refused without showing what it holds.
 */
import { isAscii, isUtf8 } from "node:buffer";

import { messageOf } from "./errors.ts";

const BYTE_ORDER_MARK = "\uFEFF";

/**
 * JSON from UTF-8 bytes or text; a byte order mark is skipped. Keys named `__proto__` are dropped at any depth: copied to
 * another object they would change its prototype.
 */
export function decodeJson<T = unknown>(value: unknown): T {
  const text = typeof value === "string" ? value : value instanceof Uint8Array ? textOf(value) : undefined;
  return (text === undefined ? value : parseJson(text)) as T;
}

/**
 * Text from UTF-8 bytes, a byte order mark included.
 * @throws TypeError when the bytes are not UTF-8
 */
export function textOf(bytes: Uint8Array): string {
  const buffer = (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as SlicedBuffer;
  // Most values are ASCII, where this is the faster way; and toString costs a good part of a small value's decoding.
  if (isAscii(buffer)) return buffer.latin1Slice(0, buffer.length);
  const text = buffer.utf8Slice(0, buffer.length);
  if (text.includes("\uFFFD") && !isUtf8(buffer)) throw new TypeError("the bytes are not UTF-8 text");
  return text;
}

/** Documented by use only: Node's types leave them out. */
interface SlicedBuffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

/** Text without its byte order mark. */
export function withoutMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

function parseJson(text: string): unknown {
  const json = withoutMark(text);
  try {
    // Another spelling of the key needs an escaped underscore: \u005f.
    if (json.includes("__proto__") || json.includes("\\u005")) return JSON.parse(json, withoutPrototype) as unknown;
    return JSON.parse(json) as unknown;
  } catch (error) {
    // V8's own message quotes the payload, which must not reach a log.
    throw new SyntaxError(`the value is no JSON: ${whereWrong(json, error)}`);
  }
}

function withoutPrototype(key: string, value: unknown): unknown {
  return key === "__proto__" ? undefined : value;
}

function whereWrong(text: string, error: unknown): string {
  if (text.trim() === "") return "it is empty";
  const position = endsTooEarly(error) ? text.length : (positionOf(error) ?? wrongToken(text));
  return position >= text.length ? `it ends too early, after ${text.length} characters` : `it is wrong at character ${position}`;
}

function endsTooEarly(error: unknown): boolean {
  return messageOf(error).startsWith("Unexpected end");
}

function positionOf(error: unknown): number | undefined {
  const position = /at position (\d+)/.exec(messageOf(error))?.[1];
  return position === undefined ? undefined : Number(position);
}

/**
 * The place of a token that does not belong there, for which V8 gives no position: the length of the longest start of the
 * text that has no such token.
 */
function wrongToken(text: string): number {
  let good = 0;
  let bad = text.length;
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    if (hasWrongToken(text.slice(0, middle))) bad = middle;
    else good = middle;
  }
  return good;
}

function hasWrongToken(text: string): boolean {
  try {
    JSON.parse(text);
    return false;
  } catch (error) {
    return positionOf(error) === undefined && !endsTooEarly(error);
  }
}
