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
    [bytes("secret-password"), /^the value is no JSON: it is wrong at character 0$/],
    [bytes('{"a": 1, "b": }'), /^the value is no JSON: it is wrong at character 14$/],
    [bytes('{"a": 1, "b" "secret"}'), /it is wrong at character 13$/],
    [bytes('{"a": "secret", b'), /it is wrong at character 16$/],
    [bytes("[1] secret"), /it is wrong at character 4$/],
    [bytes("\uFEFF[1,]"), /it is wrong at character 3$/],
    [bytes("undefined"), /it is wrong at character 0$/],
    [bytes(`${"[1,".repeat(1000)}secret`), /it is wrong at character 3000$/],
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

test("a __proto__ key in JSON changes no prototype, also of what is copied from it", () => {
  for (const name of ["__proto__", "\\u005f_proto__", "_\\u005F\\u0070roto__"]) {
    const decoded = decode.json<object>(`{"a":[{"${name}":{"polluted":true}}],"${name}":{"polluted":true},"b":"__proto__"}`);
    assert.deepEqual(decoded, { a: [{}], b: "__proto__" }, name);
    assert.equal("polluted" in Object.assign({}, decoded), false, name);
  }
});

test("text without its byte order mark, from bytes and text; nothing else", () => {
  assert.equal(decode.text(bytes("\uFEFFü")), "ü");
  assert.equal(decode.text("\uFEFFü"), "ü");
  assert.throws(() => decode.text(null), /expected bytes or text, got null/);
});

test("bytes from bytes and text", () => {
  const raw = Uint8Array.of(0xff);
  assert.equal(decode.bytes(raw), raw);
  assert.deepEqual(encode.bytes("ü"), bytes("ü"));
});

test("MessagePack there and back; what is none is told", () => {
  const value = { a: [1, 2.5, "text", null, true], b: { c: "ü" } };
  assert.deepEqual(decode.msgpack(encode.msgpack(value)), value);
  for (const wrong of [[0xc1, 0xc1], [0xc1], [], [0x01, 0x02], [0xdd, 0xff, 0xff, 0xff, 0xff]]) {
    assert.throws(() => decode.msgpack(Uint8Array.from(wrong)), new RegExp(`the value is no MessagePack \\(${wrong.length} bytes\\)`));
  }
  const numbers = { small: -5, time: 1_732_000_000_000, large: 2n ** 63n };
  assert.deepEqual(decode.msgpack(encode.msgpack(numbers)), numbers);
  const decoded = decode.msgpack<object>(Buffer.concat([Uint8Array.of(0x81, 0xa9), bytes("__proto__"), Uint8Array.of(0x80)]));
  assert.equal(Object.getPrototypeOf(decoded), Object.prototype);
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  assert.throws(() => encode.msgpack(circle), /can't be written as MessagePack: it refers to itself/);
  assert.throws(() => encode.msgpack(() => 1), /can't be written as MessagePack: it is a function/);
});

test("each format's decoder keeps tombstones", () => {
  for (const format of ["json", "text", "bytes", "msgpack", "csv"] as const) assert.equal(decoderFor(format)(null), null);
  assert.equal(decoderFor("text")(bytes("ü")), "ü");
  assert.deepEqual(decoderFor("json")(bytes("[1]")), [1]);
  assert.deepEqual(decoderFor("msgpack")(encode.msgpack({ a: 1 })), { a: 1 });
  assert.deepEqual(decoderFor("bytes")(bytes("x")), bytes("x"));
});

test("a record as a row of CSV, there and back", () => {
  const decoder = decoderFor("csv");
  assert.deepEqual(decoder(bytes("a,,ü\r\n")), ["a", "", "ü"]);
  assert.deepEqual(decoder(bytes('"a,b","say ""x""","two\nlines"')), ["a,b", 'say "x"', "two\nlines"]);
  const fields = ["plain", "a,b", 'say "x"', "two\nlines", ""];
  assert.deepEqual(decoder(bytes(encoderFor("csv")(fields) as string)), fields);
  assert.equal(encoderFor("csv")({ key: "a", n: 1.5, ok: true, none: null, values: [1, 2] }), 'a,1.5,true,,"[1,2]"');
  assert.throws(() => decoder(bytes('"secret')), {
    message: "the value is no row of CSV: a quote is not closed or stands in the wrong place",
  });
  assert.throws(() => decoder(bytes("a\nb")), { message: "the value is 2 rows of CSV, not one" });
  assert.throws(() => encoderFor("csv")("a"), /must be an array or an object/);
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
  assert.throws(() => encoderFor("json")(bytes("x")), /can't be written as JSON: it is bytes/);
  assert.throws(() => encoderFor(undefined)({ n: 10n }), /can't be written as JSON: it has a BigInt/);
  assert.throws(() => encoderFor(undefined)(() => 1), /can't be written as JSON: it is a function/);
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  assert.throws(() => encoderFor(undefined)(circle), /can't be written as JSON: it refers to itself/);
});
