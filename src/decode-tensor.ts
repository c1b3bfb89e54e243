/**
 * Values as the rows of a tensor, without the objects and arrays in between.
 */
import { PlanError } from "./errors.ts";
import { JsonNumbers } from "./json-numbers.ts";
import { decodeJson } from "./json.ts";

/** What `decode.tensor` expects. */
export interface TensorDecoding {
  /** How many numbers a value has, or the dimensions that they are in. */
  readonly shape: number | readonly number[];
  /** The member of a JSON object that holds the array; default: the value is the array. What else the object has is lost. */
  readonly field?: string | undefined;
  /**
   * What bytes are: `json` (default) an array of numbers, nested as the shape says or flat; `uint8` a byte for each number; `float32` four
   * bytes for each, little-endian.
   */
  readonly encoding?: "json" | "uint8" | "float32" | undefined;
  /** What each number is multiplied with, before it is rounded to a float: `1 / 255` for the bytes of an image; default 1. */
  readonly scale?: number | undefined;
}

/**
 * A function for `.map` that makes a Float32Array of each value: bytes, text, or what is decoded already. Neighbouring values lie beside
 * each other in memory, so that a tensor is made of them in long stretches. Numbers are the same as by `decode.json`, several times as
 * fast: simple JSON is read straight into place, and `JSON.parse` reads the rest (exponents, escapes, more than nine digits, nested values).
 * @throws PlanError when an option is wrong
 * @example
 * stream.map(decode.tensor({ field: "pixels", shape: [28, 28] })).infer(onnx("digits.onnx"))
 */
export function decodeTensor(options: TensorDecoding): (value: unknown) => Float32Array {
  const { shape, field, encoding = "json", scale = 1 } = options;
  const dims = typeof shape === "number" ? [shape] : shape;
  if (dims.length === 0 || !dims.every((dim) => Number.isInteger(dim) && dim > 0))
    throw new PlanError(`decode.tensor: shape must be whole numbers, 1 or more (got ${JSON.stringify(shape)})`);
  if (!Number.isFinite(scale)) throw new PlanError(`decode.tensor: scale must be a number (got ${scale})`);
  if (encoding !== "json" && field !== undefined) throw new PlanError(`decode.tensor: field is for JSON, and the encoding is ${encoding}`);
  if (field === "__proto__") throw new PlanError("decode.tensor: a field can't be named __proto__");
  const decoder = new TensorDecoder(dims, field, encoding, scale);
  return (value) => decoder.decode(value);
}

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Bytes of memory for neighbouring rows: a row that is kept keeps those beside it. */
const SLAB_BYTES = 256 * 1024;

class TensorDecoder {
  readonly #dims: readonly number[];
  readonly #size: number;
  readonly #field: string | undefined;
  readonly #encoding: NonNullable<TensorDecoding["encoding"]>;
  readonly #scale: number;
  readonly #scanner: JsonNumbers;
  /** For each byte the number that it stands for. */
  readonly #ofByte: Float32Array;
  #slab = new Float32Array(0);
  #next = 0;

  constructor(dims: readonly number[], field: string | undefined, encoding: NonNullable<TensorDecoding["encoding"]>, scale: number) {
    this.#dims = dims;
    this.#size = dims.reduce((size, dim) => size * dim, 1);
    this.#field = field;
    this.#encoding = encoding;
    this.#scale = scale;
    this.#scanner = new JsonNumbers(field, this.#size, scale);
    this.#ofByte = Float32Array.from({ length: 256 }, (_, byte) => byte * scale);
  }

  decode(value: unknown): Float32Array {
    if (value instanceof Float32Array && value.length === this.#size) return value;
    const size = this.#size;
    if (this.#next + size > this.#slab.length) {
      // Whatever is in it is written over before it is seen.
      const bytes = Buffer.allocUnsafeSlow(size * FLOAT_BYTES * Math.max(1, Math.floor(SLAB_BYTES / (size * FLOAT_BYTES))));
      this.#slab = new Float32Array(bytes.buffer);
      this.#next = 0;
    }
    if (value instanceof Uint8Array && this.#encoding !== "json") this.#fromBytes(value);
    else if (!(value instanceof Uint8Array && this.#scanner.read(value, this.#slab, this.#next))) this.#fromDecoded(decodeJson(value));
    const row = new Float32Array(this.#slab.buffer, this.#next * FLOAT_BYTES, size);
    this.#next += size;
    return row;
  }

  #fromBytes(bytes: Uint8Array): void {
    const slab = this.#slab;
    const at = this.#next;
    const size = this.#size;
    const expected = this.#encoding === "uint8" ? size : size * FLOAT_BYTES;
    if (bytes.length !== expected) throw new TypeError(`expected ${expected} bytes, got ${bytes.length}`);
    if (this.#encoding === "float32") {
      new Uint8Array(slab.buffer, at * FLOAT_BYTES, expected).set(bytes);
      if (this.#scale === 1) return;
      for (let index = at; index < at + size; index++) slab[index] = (slab[index] as number) * this.#scale;
      return;
    }
    const ofByte = this.#ofByte;
    for (let index = 0; index < size; index++) slab[at + index] = ofByte[bytes[index] as number] as number;
  }

  #fromDecoded(decoded: unknown): void {
    const numbers = this.#field === undefined || isList(decoded) ? decoded : memberOf(decoded, this.#field);
    if (isList(numbers) && numbers.length === this.#size && !isList(numbers[0])) this.#fill(numbers, this.#next);
    else this.#fillNested(numbers, 0, this.#next);
  }

  /** @returns the place behind the numbers */
  #fillNested(part: unknown, depth: number, at: number): number {
    const length = this.#dims[depth] as number;
    if (!isList(part) || part.length !== length) {
      const where = this.#field === undefined ? "" : ` in the field "${this.#field}"`;
      throw new TypeError(`expected ${this.#dims.join(" × ")} numbers${where}, got ${this.#found(part, depth)}`);
    }
    if (depth + 1 === this.#dims.length) return this.#fill(part, at);
    let next = at;
    for (let index = 0; index < length; index++) next = this.#fillNested(part[index], depth + 1, next);
    return next;
  }

  #fill(numbers: ArrayLike<unknown>, at: number): number {
    const slab = this.#slab;
    const scale = this.#scale;
    for (let index = 0; index < numbers.length; index++) {
      const number = numbers[index];
      if (typeof number !== "number")
        throw new TypeError(`expected numbers, got ${kindOf(number)} as number ${at - this.#next + index + 1}`);
      slab[at + index] = number * scale;
    }
    return at + numbers.length;
  }

  #found(part: unknown, depth: number): string {
    if (!isList(part)) return depth === 0 ? kindOf(part) : `${kindOf(part)} inside of an array`;
    return depth === 0 ? `an array of ${part.length}` : `an array of ${part.length} inside of an array`;
  }
}

function memberOf(decoded: unknown, field: string): unknown {
  if (typeof decoded !== "object" || decoded === null)
    throw new TypeError(`expected an object with the field "${field}", got ${kindOf(decoded)}`);
  if (!Object.hasOwn(decoded, field)) throw new TypeError(`the value has no field "${field}"`);
  return (decoded as Readonly<Record<string, unknown>>)[field];
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (isList(value)) return "an array";
  return typeof value === "string" ? "text" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}
