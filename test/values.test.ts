import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, decoderFor, encode, encoderFor } from "../src/values.ts";

const bytes = (text: string) => Buffer.from(text);

test("JSON from bytes, text, or what is decoded already", () => {
  assert.deepEqual(decode.json(bytes('{"a":1}')), { a: 1 });
  assert.deepEqual(decode.json(new Uint8Array(bytes('"ü€😀"'))), "ü€😀");
  assert.deepEqual(decode.json('[1, "zwei"]'), [1, "zwei"]);
  assert.deepEqual(decode.json('\uFEFF{"a":1}'), { a: 1 });
  assert.deepEqual(decode.json(bytes('\uFEFF{"a":1}')), { a: 1 });
  const decoded = { a: 1 };
  assert.equal(decode.json(decoded), decoded);
});

test("what is no JSON is told without showing the payload", () => {
  const wrong: readonly [Uint8Array | string, RegExp][] = [
    [bytes("secret-password"), /^the value is no JSON: it has a character that does not belong there$/],
    [bytes('{"a": 1, "b": }'), /^the value is no JSON: it/],
    [bytes('{"a": '), /it ends too early, after 6 characters$/],
    [bytes(""), /it is empty$/],
    [bytes("   "), /it is empty$/],
    [Uint8Array.of(0x22, 0xff, 0xfe, 0x22), /^the bytes are not UTF-8 text$/],
  ];
  for (const [value, message] of wrong) {
    assert.throws(
      () => decode.json(value),
      (error: Error) => message.test(error.message) && !error.message.includes("secret"),
      String(message),
    );
  }
});

test("a replacement character that was really sent is no error", () => {
  assert.equal(decode.text(bytes("a\uFFFDb")), "a\uFFFDb");
});

test("a __proto__ key in JSON changes no prototype", () => {
  decode.json('{"__proto__": {"polluted": true}}');
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

test("MessagePack there and back; what is none is told", () => {
  const value = { a: [1, 2.5, "text", null, true], b: { c: "ü" } };
  assert.deepEqual(decode.msgpack(encode.msgpack(value)), value);
  assert.throws(() => decode.msgpack(Uint8Array.of(0xc1, 0xc1)), /the value is no MessagePack \(2 bytes\)/);
});

test("each format's decoder keeps tombstones", () => {
  for (const format of ["json", "text", "bytes", "msgpack", "csv"] as const) assert.equal(decoderFor(format)(null), null);
  assert.equal(decoderFor("text")(bytes("ü")), "ü");
  assert.deepEqual(decoderFor("json")(bytes("[1]")), [1]);
});

test("sinks take bytes and text as they are, nothing as a tombstone, and anything else as JSON", () => {
  const encoder = encoderFor(undefined);
  const raw = bytes("raw");
  assert.equal(encoder(raw), raw);
  assert.equal(encoder("text"), "text");
  assert.equal(encoder({ a: 1 }), '{"a":1}');
  assert.equal(encoder(0), "0");
  assert.equal(encoder(undefined), null);
  assert.equal(encoder(null), null);
});

test("a format that does not fit the value is told", () => {
  assert.equal(encoderFor("json")("text"), '"text"');
  assert.equal(encoderFor("text")(1.5), "1.5");
  assert.throws(() => encoderFor("text")({}), /expected text to write, got an object/);
  assert.throws(() => encoderFor("bytes")({}), /expected bytes to write/);
  assert.throws(() => encoderFor(undefined)(10n), /can't be written as JSON/);
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  assert.throws(() => encoderFor(undefined)(circle), /can't be written as JSON/);
});
