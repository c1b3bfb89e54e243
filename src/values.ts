/**
 * Values as bytes: how records are decoded and results encoded.
 */
import { isAscii, isUtf8 } from "node:buffer";

import { C1, Packr, Unpackr } from "msgpackr";

import { fieldsOfRow, rowOfFields } from "./csv.ts";
import { messageOf } from "./errors.ts";

/** Formats that any source can decode and any sink can encode. */
export const FORMATS = ["json", "text", "bytes", "msgpack", "csv"] as const;

/** How a record's value is written. `csv`: one row without a header, an array of text when it is decoded. */
export type Format = (typeof FORMATS)[number];

const BYTE_ORDER_MARK = "\uFEFF";

/**
 * JSON from UTF-8 bytes or text; a byte order mark is skipped. Keys named `__proto__` are dropped at any depth: copied to
 * another object they would change its prototype.
 */
function decodeJson<T = unknown>(value: unknown): T {
  const text = typeof value === "string" ? value : value instanceof Uint8Array ? textOf(value) : undefined;
  return (text === undefined ? value : parseJson(text)) as T;
}

/** Text from UTF-8 bytes; a byte order mark is skipped. A tombstone (null) is none: filter it out before. */
function decodeText(value: unknown): string {
  if (typeof value === "string") return withoutMark(value);
  if (value instanceof Uint8Array) return withoutMark(textOf(value));
  throw new TypeError(`expected bytes or text, got ${kindOf(value)}`);
}

/** MessagePack from bytes. Integers beyond 2^53 become BigInt. */
function decodeMsgpack<T = unknown>(value: unknown): T {
  return (value instanceof Uint8Array ? unpack(value) : value) as T;
}

/** Bytes as they are; text as UTF-8. */
function decodeBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return Buffer.from(value);
  throw new TypeError(`expected bytes or text, got ${kindOf(value)}`);
}

/**
 * Functions for `.map` that take bytes, text, or what is decoded already (which they hand on), so that a product's decoder
 * does not change with its source. What can't be decoded throws, without showing the payload.
 */
export const decode = { json: decodeJson, text: decodeText, msgpack: decodeMsgpack, bytes: decodeBytes };

/** @throws TypeError for what JSON can't hold, such as a BigInt or a circle */
function encodeJson(value: unknown): string {
  if (value instanceof Uint8Array) throw new TypeError("the value can't be written as JSON: it is bytes");
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (error) {
    throw new TypeError(`the value can't be written as JSON: ${whyUnwritable(error)}`, { cause: error });
  }
  if (text === undefined) throw new TypeError(`the value can't be written as JSON: it is ${kindOf(value)}`);
  return text;
}

/** @throws TypeError for what is neither text nor a number or boolean */
function encodeText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  throw new TypeError(`expected text to write, got ${kindOf(value)}`);
}

/** @throws TypeError for what MessagePack can't hold, such as a function or a circle */
function encodeMsgpack(value: unknown): Uint8Array {
  if (typeof value === "function" || typeof value === "symbol") {
    throw new TypeError(`the value can't be written as MessagePack: it is ${kindOf(value)}`);
  }
  try {
    return packr.pack(value);
  } catch (error) {
    throw new TypeError(`the value can't be written as MessagePack: ${whyUnwritable(error)}`, { cause: error });
  }
}

/** The way back: text for JSON, bytes for MessagePack. */
export const encode = { json: encodeJson, text: encodeText, msgpack: encodeMsgpack, bytes: decodeBytes };

/** What a source with a `format` does with each value. A tombstone (null) stays null. */
export function decoderFor(format: Format): (bytes: Uint8Array | null) => unknown {
  switch (format) {
    case "json":
      return (bytes) => (bytes === null ? null : decode.json(bytes));
    case "text":
      return (bytes) => (bytes === null ? null : decode.text(bytes));
    case "msgpack":
      return (bytes) => (bytes === null ? null : decode.msgpack(bytes));
    case "csv":
      return (bytes) => (bytes === null ? null : fieldsOfRow(decode.text(bytes)));
    case "bytes":
      return (bytes) => bytes;
  }
}

/**
 * What a sink does with each value. Without a format bytes and text stay as they are, undefined and null become a
 * tombstone (null), and anything else JSON.
 */
export function encoderFor(format: Format | undefined): (value: unknown) => Uint8Array | string | null {
  switch (format) {
    case undefined:
      return (value) => (typeof value === "string" || value instanceof Uint8Array ? value : orNull(value, encode.json));
    case "json":
      return (value) => orNull(value, encode.json);
    case "csv":
      return (value) => orNull(value, rowOfFields);
    case "text":
      return (value) => orNull(value, value instanceof Uint8Array ? decode.text : encode.text);
    case "msgpack":
      return (value) => orNull(value, encode.msgpack);
    case "bytes":
      return (value) => orNull(value, bytesOnly);
  }
}

function orNull<R>(value: unknown, encoder: (value: unknown) => R): R | null {
  return value === undefined || value === null ? null : encoder(value);
}

function bytesOnly(value: unknown): Uint8Array | string {
  if (value instanceof Uint8Array || typeof value === "string") return value;
  throw new TypeError(`expected bytes to write, got ${kindOf(value)}; encode it before the sink, or choose another format`);
}

/** @throws TypeError when the bytes are not UTF-8 */
function textOf(bytes: Uint8Array): string {
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

function withoutMark(text: string): string {
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

function unpack(bytes: Uint8Array): unknown {
  try {
    const value: unknown = unpackr.unpack(bytes);
    // What the library gives for the one byte that MessagePack never uses.
    if (value !== C1) return value;
  } catch {
    // Told below.
  }
  throw new SyntaxError(`the value is no MessagePack (${bytes.length} bytes)`);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  return value instanceof Uint8Array ? "bytes" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function whyUnwritable(error: unknown): string {
  const message = messageOf(error);
  if (message.includes("BigInt")) return "it has a BigInt; make a number or text of it";
  if (message.includes("circular") || error instanceof RangeError) return "it refers to itself, or is too large or too deep";
  return message.split("\n", 1)[0] ?? "";
}

// `useRecords: false`: msgpackr's own extension for the shapes of objects is read by no other library.
const packr = new Packr({ useRecords: false, variableMapSize: true, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "auto" as "bigint" });
