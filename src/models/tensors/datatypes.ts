import type { Datatype, TypedData } from "./tensor.ts";

/** Makes the elements of a tensor. */
export interface TypedConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TypedData;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedData;
}

/** What is known of a datatype with elements of a fixed size. */
export interface Elements {
  readonly kind: "float" | "integer" | "bigint" | "boolean";
  readonly array: TypedConstructor;
  /** What its elements must be, for people. */
  readonly expected: string;
  /** The smallest and largest number that it can hold: for floating-point numbers those that are not rounded to infinity. */
  readonly min: number | bigint;
  readonly max: number | bigint;
}

// The double before 2 ** 128 - 2 ** 103, which is halfway between the largest float and what would be the next: rounded to infinity.
const LARGEST_ROUNDED_DOWN = 2 ** 128 - 2 ** 103 - 2 ** 75;

const ELEMENTS: { readonly [D in Exclude<Datatype, "BYTES">]: Elements } = {
  BOOL: { kind: "boolean", array: Uint8Array, expected: "true or false", min: 0, max: 1 },
  INT8: integers(Int8Array, -128, 127),
  INT16: integers(Int16Array, -32_768, 32_767),
  INT32: integers(Int32Array, -2_147_483_648, 2_147_483_647),
  INT64: bigIntegers(BigInt64Array, -(2n ** 63n), 2n ** 63n - 1n),
  UINT8: integers(Uint8Array, 0, 255),
  UINT16: integers(Uint16Array, 0, 65_535),
  UINT32: integers(Uint32Array, 0, 4_294_967_295),
  UINT64: bigIntegers(BigUint64Array, 0n, 2n ** 64n - 1n),
  FP32: { kind: "float", array: Float32Array, expected: "finite numbers", min: -LARGEST_ROUNDED_DOWN, max: LARGEST_ROUNDED_DOWN },
  FP64: { kind: "float", array: Float64Array, expected: "finite numbers", min: -Number.MAX_VALUE, max: Number.MAX_VALUE },
};

function integers(array: TypedConstructor, min: number, max: number): Elements {
  return { kind: "integer", array, expected: `whole numbers from ${min} to ${max}`, min, max };
}

function bigIntegers(array: TypedConstructor, min: bigint, max: bigint): Elements {
  return { kind: "bigint", array, expected: `whole numbers from ${min} to ${max} (beyond 2^53 as bigint)`, min, max };
}

/** The elements of a datatype; undefined for BYTES, whose elements have no fixed size. */
export function elementsOf(datatype: Datatype): Elements | undefined {
  return datatype === "BYTES" ? undefined : ELEMENTS[datatype];
}

/** Names of element types in ONNX Runtime's JavaScript API (https://onnxruntime.ai/docs/api/js/interfaces/Tensor.DataTypeMap.html). */
const ONNX_NAMES: { readonly [D in Datatype]: string } = {
  BOOL: "bool",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  FP32: "float32",
  FP64: "float64",
  BYTES: "string",
};

const BY_ONNX_NAME = new Map(Object.entries(ONNX_NAMES).map(([datatype, name]) => [name, datatype as Datatype]));

/** How ONNX Runtime names a datatype: `float32` for FP32. */
export function onnxNameOf(datatype: Datatype): string {
  return ONNX_NAMES[datatype];
}

/** The datatype that ONNX Runtime names so; undefined for those that no tensor here can hold, such as `float16`. */
export function datatypeOfOnnx(name: string): Datatype | undefined {
  return BY_ONNX_NAME.get(name);
}

/** Whether the Open Inference Protocol's name of a datatype is one that tensors here can hold. */
export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(ONNX_NAMES, name);
}
