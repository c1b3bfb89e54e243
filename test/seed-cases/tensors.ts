import type { Datatype, Tensor, TensorType, TypedData } from "../../src/models/tensors/tensor.ts";
import type { Fields } from "./case.ts";
import { field, UnknownCase } from "./case.ts";

const ARRAYS: Readonly<Record<string, { from(data: readonly number[]): TypedData }>> = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** A tensor of the Open Inference Protocol in JSON as ours. */
export function tensorOf(given: unknown): Tensor {
  const { name, datatype, shape } = given as { readonly name: string; readonly datatype: Datatype; readonly shape: readonly number[] };
  const data = field(given, "data");
  if (!Array.isArray(data)) throw new UnknownCase(`a tensor without data: ${JSON.stringify(given)}`);
  return { name, datatype, shape, data: elements(datatype, data.flat(Number.POSITIVE_INFINITY) as readonly unknown[]) };
}

function elements(datatype: Datatype, data: readonly unknown[]): Tensor["data"] {
  if (datatype === "BYTES") return data.map(String);
  if (datatype === "BOOL") return Uint8Array.from(data, Number);
  if (datatype === "INT64") return BigInt64Array.from(data, (element) => BigInt(Number(element)));
  if (datatype === "UINT64") return BigUint64Array.from(data, (element) => BigInt(Number(element)));
  const array = ARRAYS[datatype];
  if (array === undefined) throw new UnknownCase(`a tensor of ${datatype}`);
  return array.from(data.map(Number));
}

/** The same back. */
export function jsonOf({ name, datatype, shape, data }: Tensor): Fields {
  const plain = Array.from(data as ArrayLike<unknown>, (element) => {
    if (datatype === "BOOL") return Boolean(element);
    return typeof element === "bigint" ? Number(element) : element;
  });
  return { name, shape, datatype, data: plain };
}

/** What a model declares that takes such a tensor. */
export function typeOf({ name, datatype, shape }: Tensor): TensorType {
  return { name, datatype, shape: shape.slice(1), values: "any" };
}
