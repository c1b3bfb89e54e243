/**
 * Tensors as JSON. Elements may lie flat or nested; they are sent flat.
 */
import { InputError, RefusedError } from "../../errors.ts";
import type { Elements } from "../tensors/datatypes.ts";
import { elementsOf } from "../tensors/datatypes.ts";
import type { Datatype, Tensor, TensorData, TypedData } from "../tensors/tensor.ts";

/**
 * The elements, as JSON text: `[1,2.5]`.
 * @throws {InputError} when there is something among them that JSON has no word for: NaN, infinity, bytes
 */
export function dataJson({ name, datatype, data }: Tensor): string {
  if (!ArrayBuffer.isView(data)) return JSON.stringify(data.map((element) => textOf(name, element)));
  if (datatype === "BOOL") return JSON.stringify(Array.from(data as Uint8Array, Boolean));
  const text = `[${data.join(",")}]`;
  // An input may allow what JSON has no word for.
  if (/[NI]/.test(text))
    throw new InputError(`input "${name}": NaN and infinity can't be sent as JSON: ask a server that takes binary tensors`);
  return text;
}

function textOf(name: string, element: string | Uint8Array): string {
  if (typeof element === "string") return element;
  throw new InputError(`input "${name}": bytes can't be sent as JSON: give text, or ask a server that takes binary tensors`);
}

/**
 * The elements of an output.
 * @param given what JSON had: an array, flat or nested
 * @param elements how many there must be
 * @throws {RefusedError}
 */
export function dataOfJson(name: string, datatype: Datatype, elements: number, given: unknown): TensorData {
  if (!Array.isArray(given)) throw new RefusedError(`output "${name}" has no array as its data`);
  const flat = Array.isArray(given[0]) ? (given as unknown[]).flat(Number.POSITIVE_INFINITY) : (given as unknown[]);
  if (flat.length !== elements)
    throw new RefusedError(`output "${name}" has ${flat.length} elements, not the ${elements} that its shape says`);
  const kind = elementsOf(datatype);
  if (kind !== undefined) return numbersOf(name, datatype, kind, flat);
  for (const element of flat) if (typeof element !== "string") throw wrongElement(name, datatype, element);
  return flat as string[];
}

function numbersOf(name: string, datatype: Datatype, { kind, array: TypedArray, min, max }: Elements, flat: readonly unknown[]): TypedData {
  const data = new TypedArray(flat.length);
  for (let index = 0; index < flat.length; index++) {
    const element = flat[index];
    switch (kind) {
      case "float":
        if (typeof element !== "number") throw wrongElement(name, datatype, element);
        (data as Float64Array)[index] = element;
        break;
      case "integer":
        if (!Number.isInteger(element) || (element as number) < min || (element as number) > max)
          throw wrongElement(name, datatype, element);
        (data as Int32Array)[index] = element as number;
        break;
      case "bigint":
        if (typeof element !== "bigint" && !Number.isInteger(element)) throw wrongElement(name, datatype, element);
        if ((element as number) < min || (element as number) > max) throw wrongElement(name, datatype, element);
        (data as BigInt64Array)[index] = BigInt(element as number | bigint);
        break;
      case "boolean":
        if (typeof element !== "boolean" && element !== 0 && element !== 1) throw wrongElement(name, datatype, element);
        (data as Uint8Array)[index] = Number(element);
    }
  }
  return data;
}

function wrongElement(name: string, datatype: Datatype, element: unknown): RefusedError {
  const found =
    element === null ? "null, as some servers write NaN" : typeof element === "number" ? String(element) : `a ${typeof element}`;
  return new RefusedError(`output "${name}" has an element that is no ${datatype}: ${found}`);
}
