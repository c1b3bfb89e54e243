import { InputError } from "../../errors.ts";
import { describe, expectedShape, isTyped } from "./describe.ts";
import type { Tensor, TensorType } from "./tensor.ts";
import { dataOfTypedRows } from "./typed-rows.ts";
import type { AllocateData } from "./writer.ts";
import { rowWriter, sizeOf } from "./writer.ts";

/** Rows that go to a model together. */
export interface PackedRows {
  /** One for each input of the model, in its order. */
  readonly tensors: readonly Tensor[];
  /** The index of each of its rows among those that were given. */
  readonly rows: readonly number[];
}

/** A row that can't be part of a tensor. */
export interface BadRow {
  readonly index: number;
  readonly error: InputError;
}

/** What became of rows. */
export interface Packing {
  /** One for all rows where every input has a fixed shape; where a size is free, one for all rows of the same shape, in the order of their first rows. */
  readonly packed: readonly PackedRows[];
  /** In rising order. */
  readonly bad: readonly BadRow[];
}

/**
 * Makes tensors of rows. A row is the value of the model's only input, or an object with the values by the inputs' names: a number, a
 * boolean, text or bytes for one element; an array, nested as its shape says or flat; or a typed array with all elements.
 * Typed arrays that lie beside each other in one buffer are not copied where no memory is given: the tensor is a view of them.
 * @param declared the inputs of the model
 * @param allocate gives the memory of what is copied; default: typed arrays of their own
 */
export function packRows(rows: readonly unknown[], declared: readonly TensorType[], allocate?: AllocateData): Packing {
  const bad: BadRow[] = [];
  const values = valuesByInput(rows, declared, bad);
  const fixed = declared.map(({ shape }) => fixedShape(shape));
  if (fixed.every((dims) => dims !== undefined)) return { packed: packGroup(values, declared, fixed, bad, allocate), bad };
  return packByShape(values, declared, bad, allocate);
}

/** The values of one input, and the index of the row that each is of. */
interface InputValues {
  readonly rows: readonly number[];
  readonly columns: readonly (readonly unknown[])[];
}

/** Takes the objects apart that have values by input. */
function valuesByInput(rows: readonly unknown[], declared: readonly TensorType[], bad: BadRow[]): InputValues {
  const [only] = declared;
  if (declared.length === 1 && only !== undefined && !rows.some(isRecord)) return { rows: indexesOf(rows), columns: [rows] };
  const columns = declared.map((): unknown[] => []);
  const kept: number[] = [];
  for (const [index, row] of rows.entries()) {
    if (declared.length === 1 && !isRecord(row)) columns[0]?.push(row);
    else {
      const missing = declared.find(({ name }) => !isRecord(row) || !Object.hasOwn(row, name) || row[name] === undefined);
      if (missing !== undefined) {
        bad.push({ index, error: missingInput(missing, row) });
        continue;
      }
      for (const [input, { name }] of declared.entries()) columns[input]?.push((row as Record<string, unknown>)[name]);
    }
    kept.push(index);
  }
  return { rows: kept, columns };
}

/** 0, 1, 2 …: a loop, since each call of a model makes one. */
function indexesOf({ length }: readonly unknown[]): readonly number[] {
  const indexes: number[] = [];
  for (let index = 0; index < length; index++) indexes.push(index);
  return indexes;
}

/** Packs rows whose inputs have the same dimensions. Adds to `bad`, which it keeps in rising order. */
function packGroup(
  { rows, columns }: InputValues,
  declared: readonly TensorType[],
  dims: readonly (readonly number[])[],
  bad: BadRow[],
  allocate: AllocateData | undefined,
): readonly PackedRows[] {
  if (rows.length === 0) return [];
  const typed = declared.map((type, input) => dataOfTypedRows(columns[input] ?? [], type, sizeOf(dims[input] ?? []), allocate));
  if (typed.every((data) => data !== undefined)) return [{ tensors: tensorsOf(declared, dims, rows.length, typed), rows }];
  const writers = declared.map((type, input) => rowWriter(type, dims[input] ?? [], rows.length, allocate));
  const before = bad.length;
  const kept: number[] = [];
  for (let at = 0; at < rows.length; at++) {
    const index = rows[at] as number;
    try {
      for (let input = 0; input < writers.length; input++) writers[input]?.write(kept.length, columns[input]?.[at]);
      kept.push(index);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      bad.push({ index, error });
    }
  }
  if (bad.length > before) bad.sort((a, b) => a.index - b.index);
  if (kept.length === 0) return [];
  const data = writers.map((writer) => writer.take(kept.length));
  return [{ tensors: tensorsOf(declared, dims, kept.length, data), rows: kept }];
}

/** Packs the rows of each shape for themselves: whether a model takes a row must not depend on what else was waiting. */
function packByShape(
  { rows, columns }: InputValues,
  declared: readonly TensorType[],
  bad: BadRow[],
  allocate: AllocateData | undefined,
): Packing {
  const groups = new Map<
    string,
    { readonly dims: readonly (readonly number[])[]; readonly rows: number[]; readonly columns: unknown[][] }
  >();
  for (const [at, index] of rows.entries()) {
    const dims = declared.map((type, input) => dimsOf(columns[input]?.[at], type));
    const unknown = dims.findIndex((known) => known === undefined);
    if (unknown !== -1) {
      bad.push({ index, error: unfitting(declared[unknown] as TensorType, columns[unknown]?.[at]) });
      continue;
    }
    const key = JSON.stringify(dims);
    let group = groups.get(key);
    if (group === undefined) {
      group = { dims: dims as (readonly number[])[], rows: [], columns: declared.map(() => []) };
      groups.set(key, group);
    }
    group.rows.push(index);
    for (const [input, column] of group.columns.entries()) column.push(columns[input]?.[at]);
  }
  const packed = [...groups.values()].flatMap((group) => packGroup(group, declared, group.dims, bad, allocate));
  bad.sort((a, b) => a.index - b.index);
  return { packed, bad };
}

function tensorsOf(
  declared: readonly TensorType[],
  dims: readonly (readonly number[])[],
  rows: number,
  data: readonly Tensor["data"][],
): readonly Tensor[] {
  return declared.map(({ name, datatype }, input) => ({
    name,
    datatype,
    shape: [rows, ...(dims[input] ?? [])],
    data: data[input] as Tensor["data"],
  }));
}

function isFree(dim: number | undefined): dim is undefined {
  return dim === undefined || dim < 0;
}

function fixedShape(shape: TensorType["shape"]): readonly number[] | undefined {
  return shape.some(isFree) ? undefined : (shape as readonly number[]);
}

/** The dimensions of a value where some are free; undefined when it can't be known or can't be. What it holds is checked later. */
function dimsOf(value: unknown, { datatype, shape }: TensorType): readonly number[] | undefined {
  const fixed = fixedShape(shape);
  if (fixed !== undefined) return fixed;
  const isList = (part: unknown) => Array.isArray(part) || (datatype !== "BYTES" && isTyped(part));
  if (Array.isArray(value) && (shape.length === 1 || isList(value[0]))) return nestedDims(value, shape);
  const length = isList(value) ? (value as readonly unknown[]).length : 1;
  const free = shape.filter(isFree).length;
  const known = shape.reduce<number>((product, dim) => (isFree(dim) ? product : product * dim), 1);
  if (free > 1 ? length !== 1 : length % known !== 0) return undefined;
  return shape.map((dim) => (isFree(dim) ? length / known : dim));
}

function nestedDims(value: unknown, shape: TensorType["shape"]): readonly number[] | undefined {
  const dims: number[] = [];
  let inner: unknown = value;
  for (const dim of shape) {
    const length = Array.isArray(inner) || isTyped(inner) ? inner.length : undefined;
    // Inside of an array of no elements nothing is known.
    if (length === undefined && dims.at(-1) !== 0) return undefined;
    const known = length ?? 0;
    if (!isFree(dim) && dim !== known && length !== undefined) return undefined;
    dims.push(isFree(dim) ? known : dim);
    inner = Array.isArray(inner) ? inner[0] : undefined;
  }
  return dims;
}

function isRecord(row: unknown): row is Readonly<Record<string, unknown>> {
  return typeof row === "object" && row !== null && !Array.isArray(row) && !ArrayBuffer.isView(row);
}

function missingInput({ name }: TensorType, row: unknown): InputError {
  if (!isRecord(row)) return new InputError(`expected an object with the input "${name}", got ${describe(row)}`);
  const names = Object.keys(row).slice(0, 5).join(", ");
  return new InputError(`the input "${name}" is missing: the object has ${names === "" ? "nothing" : names}`);
}

function unfitting({ name, datatype, shape }: TensorType, value: unknown): InputError {
  const dims = shape.map((dim) => (isFree(dim) ? undefined : dim));
  return new InputError(`input "${name}": expected ${expectedShape(datatype, dims)}, got ${describe(value)}`);
}
