/**
 * Tensors as bytes, as both forms of the protocol carry them: elements in row-major order, little-endian, without gaps; for BYTES
 * each element behind its length in four bytes. Typed arrays are used as they lie in memory: Node runs on little-endian machines.
 */
import { RefusedError } from "../../errors.ts";
import { elementsOf } from "../tensors/datatypes.ts";
import type { Datatype, Tensor, TensorData } from "../tensors/tensor.ts";

const LENGTH_BYTES = 4;

/** The elements of a tensor, not copied where they are numbers. */
export function rawOf({ data }: Tensor): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const elements = data.map((element) => (typeof element === "string" ? Buffer.from(element) : element));
  const raw = Buffer.allocUnsafe(elements.reduce((sum, element) => sum + LENGTH_BYTES + element.length, 0));
  let at = 0;
  for (const element of elements) {
    at = raw.writeUInt32LE(element.length, at);
    raw.set(element, at);
    at += element.length;
  }
  return raw;
}

/**
 * The other way.
 * @param name of the output, for errors
 * @throws {RefusedError} when the bytes are not so many elements
 */
export function dataOfRaw(name: string, datatype: Datatype, elements: number, raw: Uint8Array): TensorData {
  const kind = elementsOf(datatype);
  if (kind === undefined) return textsOf(name, elements, raw);
  const { array: TypedArray } = kind;
  const bytes = elements * TypedArray.BYTES_PER_ELEMENT;
  if (raw.length !== bytes)
    throw new RefusedError(`output "${name}" has ${raw.length} bytes, not the ${bytes} that its shape and ${datatype} say`);
  // Typed arrays begin at multiples of their element's size, so what does not is copied.
  if (raw.byteOffset % TypedArray.BYTES_PER_ELEMENT === 0) return new TypedArray(raw.buffer, raw.byteOffset, elements);
  return new TypedArray(new Uint8Array(raw).buffer, 0, elements);
}

function textsOf(name: string, elements: number, raw: Uint8Array): string[] {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.length);
  const texts: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const begin = at + LENGTH_BYTES;
    const end = begin <= bytes.length ? begin + bytes.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new RefusedError(`output "${name}" ends within an element`);
    texts.push(bytes.toString("utf8", begin, end));
    at = end;
  }
  if (texts.length !== elements)
    throw new RefusedError(`output "${name}" has ${texts.length} elements, not the ${elements} that its shape says`);
  return texts;
}
