import assert from "node:assert/strict";
import { test } from "node:test";

import { asBuffers, pack } from "../../../src/models/lanes/packing.ts";

/** As it comes out at the other side of a thread. */
function sent(parts: unknown[]): unknown[] {
  const { message, transfer, buffers } = pack(parts);
  const [given, views] = structuredClone([message, buffers] as const, { transfer: [...transfer] });
  asBuffers(views);
  return given;
}

test("views come out as they went in, and those that went in stay", () => {
  const pool = Buffer.from("one buffer for all");
  const odd = new Uint8Array([9, 9, 9, 1, 2, 3]).subarray(3);
  const parts = [
    1,
    "text",
    [pool.subarray(0, 3), { at: { depth: pool.subarray(4, 10), missing: undefined } }],
    odd,
    new Float64Array([1.5, -0]),
    new BigUint64Array([2n ** 63n]),
    new DataView(new Uint8Array([0, 7, 0]).buffer, 1, 1),
    new Float32Array(0),
    null,
  ];
  const before = structuredClone(parts);
  const given = sent(parts);
  assert.deepEqual(given, parts);
  assert.deepEqual(structuredClone(parts), before);
  assert.ok(Buffer.isBuffer((given[2] as unknown[])[0]));
  assert.ok(!Buffer.isBuffer(given[3]));
});

test("what has no views is not touched", () => {
  const parts = [1, { a: ["b"] }];
  const { message, transfer, buffers } = pack(parts);
  assert.equal(message, parts);
  assert.deepEqual([transfer, buffers], [[], undefined]);
});

test("rows that follow each other in one buffer are copied together, and nothing around them", () => {
  const tensor = new Float32Array(1000).map((_, index) => index);
  const rows = [tensor.subarray(3, 5), tensor.subarray(5, 7), tensor.subarray(7, 9)];
  const { transfer } = pack([rows]);
  // As far from the next multiple of eight as they were.
  assert.deepEqual(
    transfer.map(({ byteLength }) => byteLength),
    [4 + 3 * 8],
  );
  assert.deepEqual(sent([rows]), [rows]);
});

test("a view that is in a message twice, and one that overlaps another, are whole", () => {
  const bytes = new Uint8Array([1, 2, 3, 4]);
  const parts = [bytes, bytes, bytes.subarray(1, 3), bytes.subarray(0, 2)];
  assert.deepEqual(sent(parts), parts);
});

test("a field called __proto__ stays a field", () => {
  const parts = [JSON.parse('{"__proto__": {"a": 1}}'), new Uint8Array([1])] as [object, Uint8Array];
  Object.defineProperty(parts[0], "bytes", { value: new Uint8Array([2]), enumerable: true });
  const [given] = sent(parts) as [object];
  assert.deepEqual(Object.entries(given), [
    ["__proto__", { a: 1 }],
    ["bytes", new Uint8Array([2])],
  ]);
});

test("a thing that has itself as a part does not hang it", () => {
  const parts: unknown[] = [new Uint8Array([1])];
  const knot: Record<string, unknown> = { name: "knot" };
  knot["self"] = knot;
  parts.push(knot);
  const [bytes, given] = sent(parts) as [Uint8Array, { readonly name: string }];
  assert.deepEqual([...bytes], [1]);
  assert.equal(given.name, "knot");
});
