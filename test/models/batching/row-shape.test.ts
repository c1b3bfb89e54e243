import assert from "node:assert/strict";
import { test } from "node:test";

import { shapeOfRows } from "../../../src/models/batching/row-shape.ts";

const same = (a: readonly unknown[], b: readonly unknown[]) => {
  const [first, second] = [shapeOfRows(a), shapeOfRows(b)];
  return first !== undefined && first === second;
};

test("rows without tensors go together by their type", () => {
  assert(same([1, 2], [3]));
  assert(same(["a"], ["b", "c"]));
  assert(same([{ a: 1 }], [{ b: "x", c: null }]));
  assert(same([1, "a"], [null, { a: 1 }]));
  assert(same([["a", "b"]], [["c"]]));
  assert(same([new Date(0)], [new Map()]));
  assert(!same([1], ["a"]));
  assert(!same([1], [{ a: 1 }]));
});

test("tensors go together by their names, types and inner shapes", () => {
  assert(same([new Float32Array(2)], [new Float32Array(2), new Float32Array(2)]));
  assert(!same([new Float32Array(2)], [new Float32Array(3)]));
  assert(!same([new Float32Array(2)], [new Float64Array(2)]));
  assert(!same([new Float32Array(2)], [[1, 2]]));
  assert(same([[1, 2]], [[3, 4]]));
  assert(!same([[1, 2]], [[3]]));
  assert(!same([[1, 2]], [[true, false]]));
  assert(same([[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]])); // prettier-ignore
  assert(!same([[[1, 2], [3, 4]]], [[[1, 2, 3, 4]]])); // prettier-ignore
  assert(same([{ x: new Float32Array(2), n: 1 }], [{ n: 2, x: new Float32Array(2) }]));
  assert(!same([{ x: new Float32Array(2), n: 1 }], [{ x: new Float32Array(2), n: "1" }]));
  assert(!same([{ x: new Float32Array(2) }], [{ y: new Float32Array(2) }]));
  assert(!same([{ x: new Float32Array(2) }], [{ x: new Float32Array(2), y: 1 }]));
  assert(!same([{ x: new Float32Array(2) }], [{ a: 1 }]));
});

test("rows of several shapes have none in common, wherever the odd one is", () => {
  const two = () => new Float32Array(2);
  const mixed: readonly (readonly unknown[])[] = [
    [two(), two(), new Float32Array(3)],
    [two(), two(), 1],
    [1, 2, two()],
    [{ a: 1 }, { x: two() }],
    [{ x: two() }, { x: two() }, { y: two() }],
    [{ x: two() }, { x: two(), y: 1 }],
    [{ x: two() }, { x: [1, 2] }],
    [[1, 2], [1, 2], [1]],
    [
      [1, 2],
      ["1", "2"],
    ],
    [[[1, 2], [3]]], // prettier-ignore
    [[[1, 2]], [[1, 2, 3]]],
    [[1], [[1]]],
    [],
  ];
  for (const rows of mixed) assert.equal(shapeOfRows(rows), undefined, JSON.stringify(rows));
});
