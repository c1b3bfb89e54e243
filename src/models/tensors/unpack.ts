import { RowCountError } from "../../pipeline/infer.ts";
import { isTyped } from "./describe.ts";
import type { Tensor } from "./tensor.ts";
import { sizeOf } from "./writer.ts";

/**
 * Cuts the outputs of a model into rows: of one output its elements, of several an object with those by the outputs' names. The
 * elements of a row are one number, bigint, boolean or text where a row has no dimensions, else a view of the output (text: an array).
 * @throws {RowCountError} when an output has another number of rows, or another number of elements than its shape says
 */
export function unpackRows(tensors: readonly Tensor[], rowCount: number): ArrayLike<unknown> {
  for (const tensor of tensors) check(tensor, rowCount);
  const [first] = tensors;
  if (first === undefined) throw new RowCountError("the model returned no output");
  if (tensors.length === 1) return column(first, rowCount);
  const columns = tensors.map((tensor) => column(tensor, rowCount));
  const rows: Record<string, unknown>[] = [];
  for (let index = 0; index < rowCount; index++) {
    const row: Record<string, unknown> = {};
    for (let output = 0; output < tensors.length; output++) row[tensors[output]!.name] = columns[output]?.[index];
    rows.push(row);
  }
  return rows;
}

function check({ name, shape, data }: Tensor, rowCount: number): void {
  const dims = `[${shape.join(",")}]`;
  if (shape[0] === undefined) throw new RowCountError(`the output "${name}" has no rows: its shape is ${dims}`);
  if (shape[0] !== rowCount)
    throw new RowCountError(`the model returned ${shape[0]} rows in its output "${name}" (shape ${dims}) for ${rowCount} inputs`);
  const size = sizeOf(shape);
  if (data.length !== size)
    throw new RowCountError(`the output "${name}" has ${data.length} elements, where its shape ${dims} needs ${size}`);
}

/** The rows of one output. */
function column({ datatype, shape, data }: Tensor, rowCount: number): ArrayLike<unknown> {
  if (datatype === "BOOL") return cut(Array.from(data as Uint8Array, Boolean), shape, rowCount);
  if (!isTyped(data)) return cut(data, shape, rowCount);
  if (shape.length === 1) return data;
  const size = sizeOf(shape.slice(1));
  const rows: unknown[] = [];
  for (let index = 0; index < rowCount; index++) rows.push(data.subarray(index * size, (index + 1) * size));
  return rows;
}

function cut(data: readonly unknown[], shape: readonly number[], rowCount: number): ArrayLike<unknown> {
  if (shape.length === 1) return data;
  const size = sizeOf(shape.slice(1));
  return Array.from({ length: rowCount }, (_, index) => data.slice(index * size, (index + 1) * size));
}
