/**
 * Values as bytes: how records are decoded and results encoded.
 */
import { C1, Packr, Unpackr } from "msgpackr";

import { fieldsOfRow, rowOfFields } from "./csv.ts";
import { decodeTensor } from "./decode-tensor.ts";
import { messageOf } from "./errors.ts";
import { decodeJson, textOf, withoutMark } from "./json.ts";

/** Formats that any source can decode and any sink can encode. */
export const FORMATS = ["json", "text", "bytes", "msgpack", "csv"] as const;

/** How a record's value is written. `csv`: one row without a header, an array of text when it is decoded. */
export type Format = (typeof FORMATS)[number];

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
export const decode = { json: decodeJson, text: decodeText, msgpack: decodeMsgpack, bytes: decodeBytes, tensor: decodeTensor };

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
