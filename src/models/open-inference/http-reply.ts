/**
 * Replies over HTTP: JSON, which by the binary tensor extension can be followed by the bytes of tensors.
 */
import { messageOf, RefusedError } from "../../errors.ts";
import { isDatatype } from "../tensors/datatypes.ts";
import type { Tensor } from "../tensors/tensor.ts";
import type { HttpReply } from "./http-exchange.ts";
import { JSON_LENGTH } from "./http-request.ts";
import { Kept } from "./kept.ts";
import { dataOfRaw } from "./raw-tensor.ts";
import { dataOfJson } from "./tensor-json.ts";
import type { InferReply } from "./transport.ts";

/** The JSON of a reply. @throws {RefusedError} */
export function jsonOf({ headers, body }: HttpReply): unknown {
  checkJsonType(headers["content-type"]);
  return parse(body.toString("utf8"));
}

function checkJsonType(type: string | undefined): void {
  if (type !== undefined && !/^(?:application\/(?:[\w.+-]*\+)?json|text\/json)\b/i.test(type))
    throw new RefusedError(`the reply is ${type.slice(0, 100)}, not JSON: is this an Open Inference server?`);
}

function parse(text: string): unknown {
  try {
    // Numbers beyond 2^53 come exactly only where they are looked for, which costs five times as much.
    return text.includes("INT64") && /\d{16}/.test(text) ? JSON.parse(text, exactIntegers) : JSON.parse(text);
  } catch (error) {
    throw new RefusedError(`the reply is no JSON (${text.length} characters): ${messageOf(error).slice(0, 200)}`);
  }
}

function exactIntegers(this: unknown, _key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return Number.isInteger(value) && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** An output as JSON tells of it. */
interface ToldOutput extends Pick<Tensor, "name" | "datatype" | "shape"> {
  /** By its shape. */
  readonly elements: number;
  /** Bytes behind the JSON; undefined where the JSON has the elements. */
  readonly size: number | undefined;
  /** As it was parsed. */
  readonly data: unknown;
}

interface ToldReply {
  readonly modelVersion: string | undefined;
  readonly outputs: readonly ToldOutput[];
}

/** Reads the replies of one model. */
export class Replies {
  /** Of replies whose elements are all behind the JSON. */
  readonly #kept = new Kept<ToldReply>();

  /** What the server answered. @throws {RefusedError} */
  read(reply: HttpReply): InferReply {
    const { headers, body } = reply;
    const length = headers[JSON_LENGTH];
    if (length === undefined) return readTensors(toldBy(jsonOf(reply)), body, body.length);
    const end = Number(length);
    if (!Number.isInteger(end) || end > body.length)
      throw new RefusedError(`the header ${JSON_LENGTH} says "${String(length)}" where ${body.length} bytes came`);
    const text = body.toString("utf8", 0, end);
    return readTensors(end === body.length ? toldBy(parse(text)) : this.#kept.get(text, () => toldBy(parse(text))), body, end);
  }
}

function toldBy(json: unknown): ToldReply {
  const { outputs, model_version: version } = (json ?? {}) as { readonly model_version?: unknown; readonly outputs?: unknown };
  if (!Array.isArray(outputs)) throw new RefusedError('the reply has no "outputs"');
  return { modelVersion: typeof version === "string" && version !== "" ? version : undefined, outputs: outputs.map(toldOutput) };
}

interface JsonOutput {
  readonly name?: unknown;
  readonly datatype?: unknown;
  readonly shape?: unknown;
  readonly parameters?: { readonly binary_data_size?: unknown } | null;
  readonly data?: unknown;
}

function toldOutput(output: JsonOutput | null): ToldOutput {
  const { name, datatype, shape, parameters, data } = output ?? {};
  if (typeof name !== "string") throw new RefusedError("an output has no name");
  if (typeof datatype !== "string" || !isDatatype(datatype))
    throw new RefusedError(`output "${name}" has the unknown datatype ${JSON.stringify(datatype)}`);
  const isShape = Array.isArray(shape) && shape.every((dimension) => Number.isInteger(dimension) && dimension >= 0);
  if (!isShape) throw new RefusedError(`output "${name}" has no shape of whole numbers`);
  const size = parameters?.binary_data_size;
  if (size !== undefined && !(Number.isInteger(size) && (size as number) >= 0))
    throw new RefusedError(`output "${name}" says binary_data_size ${JSON.stringify(size)}`);
  const elements = (shape as number[]).reduce((product, dimension) => product * dimension, 1);
  return { name, datatype, shape: shape as number[], elements, size: size as number | undefined, data };
}

/** @param begin where the bytes of tensors are in the body */
function readTensors({ modelVersion, outputs }: ToldReply, body: Buffer, begin: number): InferReply {
  let at = begin;
  const tensors = outputs.map(({ name, datatype, shape, elements, size, data }): Tensor => {
    if (size === undefined) return { name, datatype, shape, data: dataOfJson(name, datatype, elements, data) };
    const end = at + size;
    if (end > body.length) throw new RefusedError(`output "${name}" says binary_data_size ${size}, beyond the end of the reply`);
    const raw = body.subarray(at, end);
    at = end;
    return { name, datatype, shape, data: dataOfRaw(name, datatype, elements, raw) };
  });
  return { modelVersion, outputs: tensors };
}
