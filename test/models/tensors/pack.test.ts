import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { packRows } from "../../../src/models/tensors/pack.ts";
import type { Datatype, TensorType } from "../../../src/models/tensors/tensor.ts";
import { unpackRows } from "../../../src/models/tensors/unpack.ts";

const input = (datatype: Datatype, shape: TensorType["shape"], name = "x"): TensorType => ({ name, datatype, shape });

/** The tensor data of rows that all fit together, as plain values. */
function packed(rows: readonly unknown[], ...declared: readonly TensorType[]): unknown {
  const { packed: calls, bad } = packRows(rows, declared);
  assert.deepEqual(bad, []);
  assert.equal(calls.length, 1);
  const tensors = calls[0]!.tensors.map(({ shape, data }) => [shape, Array.from<unknown>(data)]);
  return tensors.length === 1 ? tensors[0] : tensors;
}

/** What is said of a row. */
function fault(row: unknown, ...declared: readonly TensorType[]): string | undefined {
  const { packed: calls, bad } = packRows([row], declared);
  assert.equal(calls.length + bad.length, 1);
  return bad[0]?.error.message;
}

test("rows of each form become one tensor, the rows being its first dimension", () => {
  const cases: readonly [TensorType, readonly unknown[], number[], unknown[]][] = [
    [input("FP32", []), [1, 2.5], [2], [1, 2.5]],
    [input("FP32", [1]), [1, [2]], [2, 1], [1, 2]],
    [input("INT64", []), [1, 2n ** 62n], [2], [1n, 2n ** 62n]],
    [input("BOOL", []), [true, 0], [2], [1, 0]],
    [input("BYTES", []), ["a", Uint8Array.of(1)], [2], ["a", Uint8Array.of(1)]],
    [input("BYTES", [2]), [["a", "b"]], [1, 2], ["a", "b"]],
    [
      input("FP64", [2, 2]),
      [
        [
          [1, 2],
          [3, 4],
        ],
        [5, 6, 7, 8],
      ],
      [2, 2, 2],
      [1, 2, 3, 4, 5, 6, 7, 8],
    ],
    [input("FP32", [2, 2]), [[Float32Array.of(1, 2), [3, 4]]], [1, 2, 2], [1, 2, 3, 4]],
    [input("FP32", [2]), [Float64Array.of(1, 2), [3, 4], Uint8Array.of(5, 6)], [3, 2], [1, 2, 3, 4, 5, 6]],
    [input("UINT8", [3]), [Buffer.from([1, 2, 3]), [4, 5, 6]], [2, 3], [1, 2, 3, 4, 5, 6]],
    [input("INT16", [2]), [Float32Array.of(-1, 7)], [1, 2], [-1, 7]],
    [input("FP32", [2]), [{ x: [1, 2], label: "by its name" }], [1, 2], [1, 2]],
  ];
  for (const [declared, rows, shape, data] of cases) assert.deepEqual(packed(rows, declared), [shape, data]);
});

test("a model of several inputs gets objects by their names", () => {
  const declared = [input("FP32", [2], "a"), input("INT32", [], "b")];
  const rows = [
    { a: [1, 2], b: 3 },
    { b: 6, a: [4, 5], c: "not asked for" },
  ];
  assert.deepEqual(packed(rows, ...declared), [
    [
      [2, 2],
      [1, 2, 4, 5],
    ],
    [[2], [3, 6]],
  ]);
});

test("typed arrays that lie beside each other are one view and no copy", () => {
  const slab = Float32Array.from({ length: 8 }, (_, index) => index);
  const rows = [slab.subarray(2, 4), slab.subarray(4, 6), slab.subarray(6, 8)];
  const [call] = packRows(rows, [input("FP32", [2])]).packed;
  const data = call?.tensors[0]?.data as Float32Array;
  assert.equal(data.buffer, slab.buffer);
  assert.deepEqual([...data], [2, 3, 4, 5, 6, 7]);
  assert.deepEqual(packed([rows[0], rows[2]], input("FP32", [2])), [
    [2, 2],
    [2, 3, 6, 7],
  ]);
  const others = [rows[1], rows[2], rows[0], Float32Array.of(8, 9)];
  assert.deepEqual(packed(others, input("FP32", [2])), [
    [4, 2],
    [4, 5, 6, 7, 2, 3, 8, 9],
  ]);
});

test("typed arrays are copied into memory that is given, and looked at there: small ones and large ones", () => {
  for (const size of [1, 2, 784, 5000]) {
    const slab = Float32Array.from({ length: 7 * size }, (_, index) => index);
    const rows = Array.from({ length: 7 }, (_, row) => slab.subarray(row * size, (row + 1) * size));
    const kept = new Float32Array(7 * size);
    const [call] = packRows(rows, [input("FP32", [size])], (_, length) => kept.subarray(0, length)).packed;
    assert.equal((call!.tensors[0]!.data as Float32Array).buffer, kept.buffer);
    assert.deepEqual(kept, slab);
    rows[4]![size - 1] = Number.NaN;
    rows[6]![0] = Number.NEGATIVE_INFINITY;
    const { packed: calls, bad } = packRows(rows, [input("FP32", [size])], (_, length) => new Float32Array(length));
    assert.deepEqual(
      bad.map(({ index }) => index),
      [4, 6],
    );
    assert.deepEqual(calls[0]?.rows, [0, 1, 2, 3, 5]);
  }
});

test("what is no input is told by its row, and the others are packed", () => {
  const rows = [[1, 2], [1], [3, 4], "text", [5, Number.NaN], [6, 7]];
  const { packed: calls, bad } = packRows(rows, [input("FP32", [2])]);
  assert.deepEqual(
    bad.map(({ index }) => index),
    [1, 3, 4],
  );
  assert.deepEqual(calls[0]?.rows, [0, 2, 5]);
  assert.deepEqual(calls[0]?.tensors[0]?.data, Float32Array.of(1, 2, 3, 4, 6, 7));
});

test("a row of one input that is no input is left out of all inputs", () => {
  const declared = [input("FP32", [1], "a"), input("INT8", [], "b")];
  const { packed: calls, bad } = packRows([{ a: 1, b: 300 }, { a: 2, b: 3 }, { a: 4 }], declared);
  assert.deepEqual(
    calls[0]?.tensors.map(({ data }) => Array.from<unknown>(data)),
    [[2], [3]],
  );
  assert.deepEqual(
    bad.map(({ index, error }) => [index, error.message]),
    [
      [0, 'input "b": expected whole numbers from -128 to 127 (INT8), got a whole number as element 0'],
      [2, 'the input "b" is missing: the object has a'],
    ],
  );
});

test("an error says what was expected and what came, and never shows a value", () => {
  const cases: readonly [unknown, TensorType, string][] = [
    [[1, 2, 3], input("FP32", [4]), 'input "x": expected 4 numbers (FP32 [4]), got 3 elements'],
    [new Float32Array(3), input("FP32", [4]), 'input "x": expected 4 numbers (FP32 [4]), got 3 elements of a Float32Array'],
    [[[1], [2]], input("FP32", [1, 2]), 'input "x": expected 2 numbers (FP32 [1,2]), got 2 × 1 elements'],
    [[[1, 2], [3]], input("FP32", [2, 2]), 'input "x": expected 4 numbers (FP32 [2,2]), got 2 × 2 elements'],
    [[1, "2"], input("FP32", [2]), 'input "x": expected finite numbers (FP32), got text as element 1'],
    [[1, null], input("FP32", [2]), 'input "x": expected finite numbers (FP32), got null as element 1'],
    [Float32Array.of(1, Number.NaN), input("FP32", [2]), 'input "x": expected finite numbers (FP32), got NaN as element 1'],
    [[1e39], input("FP32", [1]), 'input "x": expected finite numbers (FP32), got infinity as element 0'],
    [1e39, input("FP32", []), 'input "x": expected finite numbers (FP32), got a whole number as element 0'],
    [Float64Array.of(1e39), input("FP32", [1]), 'input "x": expected finite numbers (FP32), got infinity as element 0'],
    [1.5, input("UINT8", []), 'input "x": expected whole numbers from 0 to 255 (UINT8), got a fraction as element 0'],
    [2n ** 63n, input("INT64", []), /expected whole numbers from -9223372036854775808 to .* \(INT64\), got a bigint as element 0/.source],
    [2 ** 60, input("INT64", []), /beyond 2\^53 as bigint\) \(INT64\), got a whole number/.source],
    [-1n, input("UINT64", []), "got a bigint as element 0"],
    ["secret", input("FP32", []), 'input "x": expected one number (FP32), got text'],
    [2, input("BOOL", []), 'input "x": expected true or false (BOOL), got a whole number as element 0'],
    [5, input("BYTES", []), 'input "x": expected one text or bytes (BYTES), got a whole number'],
    [["a", 5], input("BYTES", [2]), 'input "x": expected text or bytes (BYTES), got a whole number as element 1'],
    [null, input("FP32", [2]), 'input "x": expected 2 numbers (FP32 [2]), got null'],
    [{ pixels: [1] }, input("FP32", [1]), 'the input "x" is missing: the object has pixels'],
    [[1, 2, 3], input("FP32", [-1, 2]), 'input "x": expected numbers (FP32 [any,2]), got 3 elements'],
  ];
  for (const [row, declared, message] of cases) {
    const said = fault(row, declared) ?? "";
    assert.ok(said.includes(message) || new RegExp(message).test(said), `${said} for ${message}`);
  }
});

test("NaN and infinity go through where the model takes them", () => {
  const declared: TensorType = { ...input("FP32", [2]), values: "any" };
  assert.deepEqual(packed([[Number.NaN, 1], Float32Array.of(Infinity, 2)], declared), [
    [2, 2],
    [Number.NaN, 1, Infinity, 2],
  ]);
});

test("where a size is free, rows of the same shape are packed together", () => {
  const rows = [[1, 2], [3], Float32Array.of(4, 5), [], [6]];
  const { packed: calls, bad } = packRows(rows, [input("FP32", [-1])]);
  assert.deepEqual(bad, []);
  assert.deepEqual(
    calls.map((call) => [call.rows, call.tensors[0]?.shape, Array.from<unknown>(call.tensors[0]!.data)]),
    [
      [
        [0, 2],
        [2, 2],
        [1, 2, 4, 5],
      ],
      [
        [1, 4],
        [2, 1],
        [3, 6],
      ],
      [[3], [1, 0], []],
    ],
  );
  assert.deepEqual(
    packed(
      [
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
      ],
      input("FP32", [-1, undefined]),
    ),
    [
      [1, 2, 3],
      [1, 2, 3, 4, 5, 6],
    ],
  );
  assert.deepEqual(packed([Uint8Array.of(1, 2)], input("BYTES", [-1])), [[1, 1], [Uint8Array.of(1, 2)]]);
});

const numeric = fc.constantFrom<Datatype>("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64", "BOOL");

/** An element that the datatype can hold as it is. */
function element(datatype: Datatype): fc.Arbitrary<unknown> {
  switch (datatype) {
    case "BOOL":
      return fc.boolean();
    case "BYTES":
      return fc.string();
    case "FP32":
      return fc.float({ noNaN: true, noDefaultInfinity: true });
    case "FP64":
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case "INT64":
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case "UINT64":
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    default: {
      const bits = Number(/\d+/.exec(datatype)![0]);
      return datatype.startsWith("U")
        ? fc.integer({ min: 0, max: 2 ** bits - 1 })
        : fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
    }
  }
}

test("what is packed and cut into rows again is what it was, whatever its type and shape", () => {
  const rows = fc
    .tuple(fc.oneof(numeric, fc.constant<Datatype>("BYTES")), fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }))
    .chain(([datatype, shape]) => {
      const size = shape.reduce((product, dim) => product * dim, 1);
      const flat = fc.array(element(datatype), { minLength: size, maxLength: size });
      return fc.record({
        datatype: fc.constant(datatype),
        shape: fc.constant(shape),
        rows: fc.array(flat, { minLength: 1, maxLength: 5 }),
      });
    });
  fc.assert(
    fc.property(rows, ({ datatype, shape, rows }) => {
      const nested = rows.map((flat) => nest(flat, shape));
      const { packed: calls, bad } = packRows(nested, [input(datatype, shape)]);
      assert.deepEqual(bad, []);
      const unpacked = Array.from(unpackRows(calls[0]!.tensors, rows.length));
      const expected = shape.length === 0 ? rows.map(([only]) => only) : rows;
      assert.deepEqual(
        unpacked.map((row) => (shape.length === 0 ? row : Array.from(row as ArrayLike<unknown>))),
        expected,
      );
      if (datatype === "BOOL") return;
      assert.deepEqual(
        packRows(shape.length === 0 ? nested : unpacked, [input(datatype, shape)]).packed,
        calls,
        "its rows can be packed again",
      );
    }),
  );
});

function nest(flat: readonly unknown[], shape: readonly number[]): unknown {
  const [outer, ...inner] = shape;
  if (outer === undefined) return flat[0];
  const size = flat.length / outer;
  return Array.from({ length: outer }, (_, index) => nest(flat.slice(index * size, (index + 1) * size), inner));
}
