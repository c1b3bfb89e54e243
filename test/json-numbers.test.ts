import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { JsonNumbers } from "../src/json-numbers.ts";

/** The numbers that were read; undefined when they must be read by a parser. */
function read(json: string, field: string | undefined, count: number): number[] | undefined {
  const out = new Float32Array(count);
  return new JsonNumbers(field, count, 1).read(Buffer.from(json), out, 0) ? [...out] : undefined;
}

test("numbers are read from a list, or from the member of an object with other simple members in any order", () => {
  const cases: readonly [string, string | undefined, number[]][] = [
    ["[1]", undefined, [1]],
    ["[0.5,-0.25,7,-0,120,0.125]", undefined, [0.5, -0.25, 7, -0, 120, 0.125]],
    [" [ 1 , 2.5\n,\t3 ]", undefined, [1, 2.5, 3]],
    ['{"x":[1,2]}', "x", [1, 2]],
    ['{"id":17,"x":[1,2]}', "x", [1, 2]],
    ['{ "id": "a b", "ok": true, "no": null, "e": -1.5e+3, "x": [1, 2], "after": 0.5 }', "x", [1, 2]],
    ['{"xx":1,"x":[3],"y":2}', "x", [3]],
  ];
  for (const [json, field, expected] of cases) assert.deepEqual(read(json, field, expected.length), expected, json);
});

test("what is unusual or wrong is left to a parser", () => {
  const cases: readonly [string, string | undefined, number][] = [
    ["", undefined, 1],
    ["[1,2]", undefined, 1],
    ["[1]", undefined, 2],
    ["[01]", undefined, 1],
    ["[1.]", undefined, 1],
    ["[.5]", undefined, 1],
    ["[-]", undefined, 1],
    ["[+1]", undefined, 1],
    ["[1e3]", undefined, 1],
    ["[1,]", undefined, 2],
    ["[1 2]", undefined, 2],
    ["[1]]", undefined, 1],
    ["[1] ", undefined, 1],
    ["[1234567890]", undefined, 1],
    ["[0.1234567890]", undefined, 1],
    ["[[1]]", undefined, 1],
    ['["1"]', undefined, 1],
    ["[null]", undefined, 1],
    ["\uFEFF[1]", undefined, 1],
    ['{"x":[1]', "x", 1],
    ['{"y":[1]}', "x", 1],
    ['{"x":1}', "x", 1],
    ['{"x":[1],"x":[2]}', "x", 1],
    ['{"x":[1],}', "x", 1],
    ['{"x":[1] "y":2}', "x", 1],
    ['{"x" [1]}', "x", 1],
    ['{"\\u0078":[1]}', "x", 1],
    ['{"y":{"x":[1]}}', "x", 1],
    ['{"y":[1],"x":[1]}', "x", 1],
    ['{"y":"ü","x":[1]}', "x", 1],
    ['{"y":"a\\"b","x":[1]}', "x", 1],
    ['{"y":tru,"x":[1]}', "x", 1],
    ['{"y":01,"x":[1]}', "x", 1],
    ['{"y":,"x":[1]}', "x", 1],
    ["{}", "x", 1],
    ["{]", "x", 1],
    ["}", "x", 1],
  ];
  for (const [json, field, count] of cases) assert.equal(read(json, field, count), undefined, json);
});

test("a number is bit for bit what JSON.parse makes of it, and plain ones are read", () => {
  const plain = fc
    .tuple(fc.boolean(), fc.nat(999_999_999), fc.nat(8))
    .map(([negative, digits, decimals]) => `${negative ? "-" : ""}${withPoint(String(digits), decimals)}`);
  fc.assert(
    fc.property(fc.array(plain, { minLength: 1, maxLength: 20 }), (numbers) => {
      const json = `{"id":1,"x":[${numbers.join(",")}]}`;
      const expected = Float32Array.from((JSON.parse(json) as { x: number[] }).x);
      const out = new Float32Array(numbers.length);
      assert.equal(new JsonNumbers("x", numbers.length, 1).read(Buffer.from(json), out, 0), true, json);
      assert.deepEqual(new Uint32Array(out.buffer), new Uint32Array(expected.buffer), json);
    }),
    { numRuns: 2000 },
  );
});

/** Digits with a decimal point before the last ones; in all at most nine. */
function withPoint(digits: string, decimals: number): string {
  if (decimals === 0) return digits;
  const padded = digits.slice(0, 9).padStart(decimals + 1, "0");
  return `${padded.slice(0, -decimals)}.${padded.slice(-decimals)}`;
}
