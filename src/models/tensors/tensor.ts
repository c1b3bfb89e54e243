/**
 * Rows and tensors: a model over tensors is given the rows of a call as one tensor for each of its inputs, the first
 * dimension being the rows, and its outputs are cut into rows again.
 */

/** Element types, by their names in the Open Inference Protocol (https://github.com/kserve/open-inference-protocol). */
export type Datatype = "BOOL" | "INT8" | "INT16" | "INT32" | "INT64" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "FP32" | "FP64" | "BYTES";

/** Arrays of numbers, or of bigint for 64-bit integers. */
export type TypedData =
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** The elements of a tensor, in row-major order: for BOOL a byte each, for BYTES text or bytes each. */
export type TensorData = TypedData | readonly (string | Uint8Array)[];

/** Some rows of one input or output. */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  /** The first is the number of rows. */
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** What a model wants as one of its inputs. */
export interface TensorType {
  readonly name: string;
  readonly datatype: Datatype;
  /** The dimensions of one row, so without the rows: `[]` for one element, `[28, 28]`; -1 or undefined where any size will do. */
  readonly shape: readonly (number | undefined)[];
  /** Whether floating-point numbers may be NaN or infinite, as where NaN stands for what is missing; default "finite": such a row is refused. */
  readonly values?: "finite" | "any" | undefined;
}
