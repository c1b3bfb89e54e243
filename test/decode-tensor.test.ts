import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { decode } from "../src/values.ts";

const bytes = (text: string) => Buffer.from(text);

test("JSON in every form becomes the same floats", () => {
  const decoder = decode.tensor({ field: "x", shape: [2, 2] });
  const expected = Float32Array.of(0.1, -2, 3, 4);
  const forms: readonly unknown[] = [
    bytes('{"id":1,"x":[0.1,-2,3,4]}'),
    bytes('{"id":1,"x":[[0.1,-2],[3,4]]}'),
    bytes('{"x":[1e-1,-2e0,3,40E-1],"nested":{"a":[1]}}'),
    bytes('{"x":[9],"\\u0078":[0.1,-2,3,4]}'),
    bytes('\uFEFF{"x":[0.1,-2,3,4]}\n'),
    '{"x":[0.1,-2,3,4]}',
    bytes("[0.1,-2,3,4]"),
    { x: [0.1, -2, 3, 4], id: 1 },
    { x: [Float64Array.of(0.1, -2), [3, 4]] },
    [0.1, -2, 3, 4],
    expected,
  ];
  for (const form of forms) assert.deepEqual(decoder(form), expected, String(form));
});

test("bytes become floats, scaled", () => {
  assert.deepEqual(decode.tensor({ shape: 3, encoding: "uint8" })(Uint8Array.of(0, 128, 255)), Float32Array.of(0, 128, 255));
  assert.deepEqual(
    decode.tensor({ shape: [3], encoding: "uint8", scale: 1 / 255 })(Uint8Array.of(0, 51, 255)),
    Float32Array.of(0, 51 * (1 / 255), 1),
  );
  const floats = Buffer.from(Float32Array.of(9, 0.1, -2).buffer).subarray(4);
  assert.deepEqual(decode.tensor({ shape: 2, encoding: "float32" })(floats), Float32Array.of(0.1, -2));
  assert.deepEqual(decode.tensor({ shape: 2, encoding: "float32", scale: 2 })(floats), Float32Array.of(0.2, -4));
  assert.deepEqual(decode.tensor({ field: "x", shape: 2, scale: 0.5 })(bytes('{"x":[1,3]}')), Float32Array.of(0.5, 1.5));
});

test("rows lie beside each other, also behind one that failed, and are never written again", () => {
  const decoder = decode.tensor({ shape: 2 });
  const first = decoder(bytes("[1,2]"));
  assert.throws(() => decoder(bytes("[8,9,10]")));
  assert.throws(() => decoder(bytes('[8,"9"]')));
  const second = decoder(bytes("[3,4]"));
  assert.equal(second.buffer, first.buffer);
  assert.equal(second.byteOffset, first.byteOffset + 8);
  const kept = Array.from({ length: 100_000 }, (_, index) => decoder(bytes(`[${index},0]`)));
  assert.deepEqual([...first, ...second], [1, 2, 3, 4]);
  assert.ok(kept.every((row, index) => row[0] === index));
});

test("a row larger than what is allocated at once", () => {
  const size = 100_000;
  const row = decode.tensor({ shape: size })(bytes(JSON.stringify(Array.from({ length: size }, (_, index) => index))));
  assert.equal(row[size - 1], size - 1);
});

test("what has other numbers is told, without showing it", () => {
  const json = decode.tensor({ field: "x", shape: 3 });
  const nested = decode.tensor({ shape: [2, 2] });
  const cases: readonly [(value: unknown) => unknown, unknown, string][] = [
    [json, bytes('{"x":[1,2]}'), 'expected 3 numbers in the field "x", got an array of 2'],
    [json, bytes('{"x":[1,2,3,4]}'), 'expected 3 numbers in the field "x", got an array of 4'],
    [json, bytes('{"x":"secret"}'), 'expected 3 numbers in the field "x", got text'],
    [json, bytes('{"x":[1,2,"secret"]}'), "expected numbers, got text as number 3"],
    [json, bytes('{"x":[1,null,3]}'), "expected numbers, got null as number 2"],
    [json, bytes('{"y":[1,2,3]}'), 'the value has no field "x"'],
    [json, bytes("7"), 'expected an object with the field "x", got a number'],
    [json, null, 'expected an object with the field "x", got null'],
    [json, bytes('{"x":[1,2,3}'), "the value is no JSON: it is wrong at character 11"],
    [nested, [[1, 2], [3]], "expected 2 × 2 numbers, got an array of 1 inside of an array"],
    [nested, [[1, 2]], "expected 2 × 2 numbers, got an array of 1"],
    [nested, [1, 2], "expected 2 × 2 numbers, got a number inside of an array"],
    [decode.tensor({ shape: 3, encoding: "uint8" }), bytes("ab"), "expected 3 bytes, got 2"],
    [decode.tensor({ shape: 3, encoding: "float32" }), bytes("abc"), "expected 12 bytes, got 3"],
  ];
  for (const [decoder, value, message] of cases) assert.throws(() => decoder(value), { message });
});

test("an option that can't be is told where the plan is made", () => {
  assert.throws(() => decode.tensor({ shape: 0 }), /shape must be whole numbers, 1 or more \(got 0\)/);
  assert.throws(() => decode.tensor({ shape: [] }), /shape must be/);
  assert.throws(() => decode.tensor({ shape: 2, scale: Number.NaN }), /scale must be a number/);
  assert.throws(() => decode.tensor({ shape: 2, field: "x", encoding: "uint8" }), /field is for JSON, and the encoding is uint8/);
});

test("any JSON gives what JSON.parse and a Float32Array would, bit for bit", () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
    fc.stringMatching(/^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?$/),
  );
  const space = fc.constantFrom("", "", "", " ", "\n ");
  const member = fc
    .tuple(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 1 }))
    .map(([name, value]) => `${JSON.stringify(`_${name}`)}:${JSON.stringify(value)}`);
  const json = fc
    .record({
      numbers: fc.array(number, { minLength: 1, maxLength: 8 }),
      space,
      before: fc.array(member, { maxLength: 2 }),
      after: fc.array(member, { maxLength: 2 }),
    })
    .map(
      ({ numbers, space, before, after }) =>
        `{${space}${[...before, `"x"${space}:[${space}${numbers.join(`${space},`)}]`, ...after].join(`${space},`)}${space}}`,
    );
  fc.assert(
    fc.property(json, (text) => {
      const expected = Float32Array.from((JSON.parse(text) as { x: number[] }).x);
      const row = decode.tensor({ field: "x", shape: expected.length })(bytes(text));
      assert.deepEqual(bits(row), bits(expected), text);
    }),
    { numRuns: 2000 },
  );
});

test("JSON with a wrong byte is refused, or read as JSON.parse reads it", () => {
  const numbers = fc.array(fc.constantFrom("0", "1", "0.5", "0.25", "-0.5", "12", "0.125"), { minLength: 4, maxLength: 4 });
  const byte = fc.constantFrom(...bytes('0159.,-+:;/eE[]{}" x'), 0, 0x80, 0xff);
  fc.assert(
    fc.property(numbers, fc.nat(), byte, (numbers, place, byte) => {
      const json = bytes(`{"id":7,"x":[${numbers.join(",")}]}`);
      json[place % json.length] = byte;
      let expected: unknown;
      try {
        expected = decode.json<{ x: unknown }>(json).x;
      } catch {
        // It is no JSON.
      }
      const isRow = Array.isArray(expected) && expected.length === 4 && expected.every((number) => typeof number === "number");
      const decoder = decode.tensor({ field: "x", shape: 4 });
      if (isRow) assert.deepEqual(bits(decoder(json)), bits(Float32Array.from(expected as number[])), json.toString("latin1"));
      else assert.throws(() => decoder(json), json.toString("latin1"));
    }),
    { numRuns: 5000 },
  );
});

function bits(floats: Float32Array): Uint32Array {
  return new Uint32Array(floats.slice().buffer);
}
