/**
 * What a value is, for messages: never what it holds.
 */
import type { Datatype, TypedData } from "./tensor.ts";

/** `one number (FP32)`, `784 numbers (FP32 [28,28])`. */
export function expectedShape(datatype: Datatype, dims: readonly (number | undefined)[]): string {
  const what = datatype === "BYTES" ? "text or bytes" : datatype === "BOOL" ? "boolean" : "number";
  if (dims.length === 0) return `one ${what} (${datatype})`;
  const size = dims.reduce<number>((product, dim) => product * (dim ?? Number.NaN), 1);
  const many = datatype === "BYTES" ? "texts" : `${what}s`;
  const count = Number.isNaN(size) ? many : size === 1 ? `1 ${what}` : `${size} ${many}`;
  return `${count} (${datatype} [${dims.map((dim) => dim ?? "any").join(",")}])`;
}

/** `783 elements`, `3 × 2 elements`, `NaN`, `text`, `an object without it (it has id, label)`. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (isTyped(value)) return `${nesting(value)} of a ${value.constructor.name}`;
  if (Array.isArray(value)) return nesting(value);
  switch (typeof value) {
    case "number":
      return describeNumber(value);
    case "string":
      return "text";
    case "object":
      return "an object";
    default:
      return `a ${typeof value}`;
  }
}

/** A typed array: elements beside each other. */
export function isTyped(value: unknown): value is TypedData {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

function describeNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return "infinity";
  return Number.isInteger(value) ? "a whole number" : "a fraction";
}

/** `3 × 2 elements`: lengths from the outside to the inside, along the first elements. */
function nesting(value: ArrayLike<unknown>): string {
  const lengths: number[] = [];
  let inner: unknown = value;
  while (Array.isArray(inner) || isTyped(inner)) {
    lengths.push(inner.length);
    if (lengths.length > 8) break;
    inner = inner[0];
  }
  return lengths.length === 1 && lengths[0] === 1 ? "1 element" : `${lengths.join(" × ")} elements`;
}
