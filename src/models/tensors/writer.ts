import { InputError } from "../../errors.ts";
import type { Elements } from "./datatypes.ts";
import { elementsOf } from "./datatypes.ts";
import { describe, expectedShape, isTyped } from "./describe.ts";
import type { TensorType, TypedData } from "./tensor.ts";

/** Fills the data of one input with one row after the other. */
export interface RowWriter {
  /**
   * Writes a row; what was written before at this row or behind it is lost.
   * @param row its number in the tensor
   * @throws {InputError} when the value is none of the input's type
   */
  write(row: number, value: unknown): void;
  /** The first rows. */
  take(rows: number): TypedData | (string | Uint8Array)[];
}

/**
 * @param dims the dimensions of a row
 * @param rows as many as will be written at most
 */
export function rowWriter(type: TensorType, dims: readonly number[], rows: number, allocate: AllocateData = newData): RowWriter {
  const elements = elementsOf(type.datatype);
  return elements === undefined
    ? new BytesWriter(type, dims)
    : new NumberWriter(type, dims, elements, allocate(elements, rows * sizeOf(dims)));
}

/** Memory for so many elements. What is in it does not matter: it is written before it is read. */
export type AllocateData = (elements: Elements, length: number) => TypedData;

/** Memory of its own. */
export const newData: AllocateData = ({ array: TypedArray }, length) => new TypedArray(length);

/** Elements per row. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((size, dim) => size * dim, 1);
}

class BytesWriter implements RowWriter {
  readonly #type: TensorType;
  readonly #dims: readonly number[];
  readonly #size: number;
  readonly #data: (string | Uint8Array)[] = [];

  constructor(type: TensorType, dims: readonly number[]) {
    this.#type = type;
    this.#dims = dims;
    this.#size = sizeOf(dims);
  }

  write(row: number, value: unknown): void {
    this.#data.length = row * this.#size;
    if (!Array.isArray(value)) {
      if (this.#size !== 1 || !isBytesElement(value)) throw wrongShape(this.#type, this.#dims, value);
      this.#data.push(value);
      return;
    }
    eachElement(this.#type, this.#dims, value, (element, index) => {
      if (!isBytesElement(element)) throw wrongElement(this.#type, "text or bytes", element, index);
      this.#data.push(element);
    });
  }

  take(rows: number): (string | Uint8Array)[] {
    this.#data.length = rows * this.#size;
    return this.#data;
  }
}

class NumberWriter implements RowWriter {
  readonly #type: TensorType;
  readonly #dims: readonly number[];
  readonly #size: number;
  readonly #elements: Elements;
  readonly #data: TypedData;

  constructor(type: TensorType, dims: readonly number[], elements: Elements, data: TypedData) {
    this.#type = type;
    this.#dims = dims;
    this.#size = sizeOf(dims);
    this.#elements = elements;
    this.#data = data;
  }

  write(row: number, value: unknown): void {
    const at = row * this.#size;
    if (isTyped(value)) this.#writeTyped(at, value);
    else if (Array.isArray(value)) this.#writeArray(at, value);
    else if (this.#size === 1 && isScalar(value)) this.#put(at, value, 0);
    else throw wrongShape(this.#type, this.#dims, value);
  }

  take(rows: number): TypedData {
    const length = rows * this.#size;
    return length === this.#data.length ? this.#data : this.#data.subarray(0, length);
  }

  #writeTyped(at: number, value: TypedData): void {
    if (value.length !== this.#size) throw wrongShape(this.#type, this.#dims, value);
    const data = this.#data;
    if (value instanceof this.#elements.array && this.#elements.kind !== "boolean") {
      (data as Float32Array).set(value as Float32Array, at);
      if (this.#elements.kind === "float") this.#checkFinite(value as Float32Array, 0);
    } else if (this.#elements.kind === "float" && !(value instanceof BigInt64Array || value instanceof BigUint64Array)) {
      (data as Float32Array).set(value, at);
      this.#checkFinite(data as Float32Array, at);
    } else {
      for (let index = 0; index < value.length; index++) this.#put(at + index, value[index], index);
    }
  }

  #writeArray(at: number, value: readonly unknown[]): void {
    if (this.#elements.kind !== "float" || !isFlat(this.#type, value, this.#size)) {
      eachElement(this.#type, this.#dims, value, (element, index) => this.#put(at + index, element, index));
      return;
    }
    // What JSON gives; written without a call for each element.
    const data = this.#data as Float32Array;
    for (let index = 0; index < value.length; index++) {
      const element = value[index];
      if (typeof element !== "number") throw this.#wrong(element, index);
      data[at + index] = element;
    }
    this.#checkFinite(data, at);
  }

  #checkFinite(data: Float32Array, at: number): void {
    if (this.#type.values === "any") return;
    const end = at + this.#size;
    for (let index = at; index < end; index++) {
      const element = data[index] as number;
      if (element - element !== 0) throw this.#wrong(element, index - at);
    }
  }

  /** Writes one element, with all checks. */
  #put(at: number, element: unknown, index: number): void {
    const { kind, min, max } = this.#elements;
    const data = this.#data;
    switch (kind) {
      case "float":
        if (typeof element !== "number" || (this.#type.values !== "any" && !(element >= min && element <= max)))
          throw this.#wrong(element, index);
        (data as Float32Array)[at] = element;
        return;
      case "integer":
        if (typeof element !== "number" || !Number.isInteger(element) || element < min || element > max) throw this.#wrong(element, index);
        (data as Int32Array)[at] = element;
        return;
      case "bigint":
        if (typeof element !== "bigint" && !Number.isSafeInteger(element)) throw this.#wrong(element, index);
        if ((element as number | bigint) < min || (element as number | bigint) > max) throw this.#wrong(element, index);
        (data as BigInt64Array)[at] = BigInt(element as number | bigint);
        return;
      case "boolean":
        if (typeof element !== "boolean" && element !== 0 && element !== 1) throw this.#wrong(element, index);
        (data as Uint8Array)[at] = Number(element);
    }
  }

  #wrong(element: unknown, index: number): InputError {
    return wrongElement(this.#type, this.#type.values === "any" ? "numbers" : this.#elements.expected, element, index);
  }
}

/** Calls for each element of an array in row-major order: nested as the dimensions say, or flat. */
function eachElement(
  type: TensorType,
  dims: readonly number[],
  value: readonly unknown[],
  call: (element: unknown, index: number) => void,
): void {
  if (isFlat(type, value, sizeOf(dims))) {
    for (let index = 0; index < value.length; index++) call(value[index], index);
    return;
  }
  let index = 0;
  const walk = (part: unknown, depth: number): void => {
    if (depth === dims.length) {
      call(part, index++);
      return;
    }
    if (!Array.isArray(part) && !isTyped(part)) throw wrongShape(type, dims, value);
    if (part.length !== dims[depth] || (isTyped(part) && depth + 1 !== dims.length)) throw wrongShape(type, dims, value);
    for (let inner = 0; inner < part.length; inner++) walk(part[inner], depth + 1);
  };
  walk(value, 0);
}

/** So many elements beside each other; the elements themselves are not looked at, but for the first. */
function isFlat({ datatype }: TensorType, value: readonly unknown[], size: number): boolean {
  const first = value[0];
  return value.length === size && !Array.isArray(first) && (datatype === "BYTES" || !isTyped(first));
}

function isScalar(value: unknown): boolean {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

function isBytesElement(value: unknown): value is string | Uint8Array {
  return typeof value === "string" || value instanceof Uint8Array;
}

function wrongShape(type: TensorType, dims: readonly number[], value: unknown): InputError {
  return new InputError(`input "${type.name}": expected ${expectedShape(type.datatype, dims)}, got ${describe(value)}`);
}

function wrongElement(type: TensorType, expected: string, element: unknown, index: number): InputError {
  return new InputError(`input "${type.name}": expected ${expected} (${type.datatype}), got ${describe(element)} as element ${index}`);
}
