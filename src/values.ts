/**
 * Values as bytes: how records are decoded and results encoded.
 */
import { isAscii, isUtf8 } from "node:buffer";

import { Packr, Unpackr } from "msgpackr";

import { messageOf } from "./errors.ts";

/** How a record's value is written. `csv` only where the source itself knows the columns (files). */
export type Format = "json" | "text" | "bytes" | "msgpack" | "csv";

/** Formats that any source can decode and any sink can encode. */
export const FORMATS = ["json", "text", "bytes", "msgpack"] as const;

const BYTE_ORDER_MARK = "\uFEFF";

/** JSON from UTF-8 bytes or text; a byte order mark is skipped. */
function decodeJson<T = unknown>(value: unknown): T {
  const text = typeof value === "string" ? value : value instanceof Uint8Array ? textOf(value) : undefined;
  return (text === undefined ? value : parseJson(text)) as T;
}

/** Text from UTF-8 bytes; a byte order mark is skipped. */
function decodeText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return withoutMark(textOf(value));
  throw new TypeError(`expected bytes or text, got ${kindOf(value)}`);
}

/** MessagePack from bytes. */
function decodeMsgpack<T = unknown>(value: unknown): T {
  return (value instanceof Uint8Array ? unpack(value) : value) as T;
}

/**
 * Functions for `.map` that take bytes, text, or what is decoded already (which they hand on), so that a product's decoder
 * does not change with its source. What can't be decoded throws, without showing the payload.
 */
export const decode = { json: decodeJson, text: decodeText, msgpack: decodeMsgpack };

/** @throws TypeError for what JSON can't hold, such as a BigInt or a circle */
function encodeJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (error) {
    throw new TypeError(`the value can't be written as JSON: ${firstLine(messageOf(error))}`, { cause: error });
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

function encodeMsgpack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** The way back: text for JSON, bytes for MessagePack. */
export const encode = { json: encodeJson, text: encodeText, msgpack: encodeMsgpack };

/** What a source with a `format` does with each value. A tombstone (null) stays null. */
export function decoderFor(format: Format): (bytes: Uint8Array | null) => unknown {
  switch (format) {
    case "json":
      return (bytes) => (bytes === null ? null : decode.json(bytes));
    case "text":
      return (bytes) => (bytes === null ? null : decode.text(bytes));
    case "msgpack":
      return (bytes) => (bytes === null ? null : decode.msgpack(bytes));
    case "bytes":
    case "csv":
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
    case "text":
    case "csv":
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
  try {
    return JSON.parse(withoutMark(text)) as unknown;
  } catch (error) {
    // V8's own message quotes the payload, which must not reach a log.
    throw new SyntaxError(`the value is no JSON: ${whereWrong(text, messageOf(error))}`);
  }
}

function whereWrong(text: string, message: string): string {
  if (text.trim() === "") return "it is empty";
  if (message.startsWith("Unexpected end")) return `it ends too early, after ${text.length} characters`;
  const position = /position (\d+)/.exec(message)?.[1];
  return position === undefined ? "it has a character that does not belong there" : `it is wrong at character ${position}`;
}

function unpack(bytes: Uint8Array): unknown {
  try {
    return unpackr.unpack(bytes) as unknown;
  } catch {
    throw new SyntaxError(`the value is no MessagePack (${bytes.length} bytes)`);
  }
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  return value instanceof Uint8Array ? "bytes" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function firstLine(message: string): string {
  return message.split("\n", 1)[0] ?? "";
}

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });
