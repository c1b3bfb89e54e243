/**
 * Requests and replies of `infer` over HTTP: JSON, and where both sides know it the binary tensor extension
 * (https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html): the JSON is then
 * followed by the bytes of the tensors, and a header says where it ends.
 */
import { messageOf, RefusedError } from "../../errors.ts";
import { isDatatype } from "../tensors/datatypes.ts";
import type { Tensor } from "../tensors/tensor.ts";
import type { HttpReply } from "./http-exchange.ts";
import { dataOfRaw, rawOf } from "./raw-tensor.ts";
import { dataJson, dataOfJson } from "./tensor-json.ts";
import type { InferReply, InferRequest } from "./transport.ts";

/** How long the JSON is in front of binary tensors, in bytes. */
const JSON_LENGTH = "inference-header-content-length";

/** A request, as it is sent. */
export interface InferMessage {
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array;
}

/** All tensors in JSON. */
export function jsonMessage({ inputs, outputs }: InferRequest): InferMessage {
  const tensors = inputs.map((tensor) => `{${typeJson(tensor)},"data":${dataJson(tensor)}}`);
  const wanted = outputs === undefined ? "" : `,"outputs":${JSON.stringify(outputs.map((name) => ({ name })))}`;
  return { headers: ["content-type", "application/json"], body: `{"inputs":[${tensors.join(",")}]${wanted}}` };
}

/** All tensors as bytes, in both directions. */
export function binaryMessage({ inputs, outputs }: InferRequest): InferMessage {
  const raws = inputs.map(rawOf);
  const tensors = inputs.map((tensor, index) => `{${typeJson(tensor)},"parameters":{"binary_data_size":${raws[index]?.length}}}`);
  const wanted =
    outputs === undefined
      ? `"parameters":{"binary_data_output":true}`
      : `"outputs":${JSON.stringify(outputs.map((name) => ({ name, parameters: { binary_data: true } })))}`;
  const json = Buffer.from(`{"inputs":[${tensors.join(",")}],${wanted}}`);
  const headers = ["content-type", "application/octet-stream", JSON_LENGTH, String(json.length)];
  return { headers, body: Buffer.concat([json, ...raws]) };
}

function typeJson({ name, datatype, shape }: Tensor): string {
  return `"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(",")}]`;
}

/** The JSON of a reply with binary tensors or without. @throws {RefusedError} */
export function jsonOf({ headers, body }: HttpReply): unknown {
  const length = headers[JSON_LENGTH];
  const end = length === undefined ? body.length : Number(length);
  if (!Number.isInteger(end) || end > body.length)
    throw new RefusedError(`the header ${JSON_LENGTH} says "${String(length)}" where ${body.length} bytes came`);
  if (length === undefined) checkJsonType(headers["content-type"]);
  return parse(body.toString("utf8", 0, end));
}

function checkJsonType(type: string | undefined): void {
  if (type !== undefined && !/^(?:application\/(?:[\w.+-]*\+)?json|text\/json)\b/i.test(type))
    throw new RefusedError(`the reply is ${type.slice(0, 100)}, not JSON: is this an Open Inference server?`);
}

function parse(text: string): unknown {
  try {
    // Numbers beyond 2^53 come exactly only where they are looked for, which costs five times as much.
    return /\d{16}/.test(text) && text.includes("INT64") ? JSON.parse(text, exactIntegers) : JSON.parse(text);
  } catch (error) {
    throw new RefusedError(`the reply is no JSON (${text.length} characters): ${messageOf(error).slice(0, 200)}`);
  }
}

function exactIntegers(this: unknown, _key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return Number.isInteger(value) && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

interface JsonOutput {
  readonly name?: unknown;
  readonly datatype?: unknown;
  readonly shape?: unknown;
  readonly parameters?: { readonly binary_data_size?: unknown } | null;
  readonly data?: unknown;
}

/** What the server answered. @throws {RefusedError} */
export function inferReplyOf(reply: HttpReply): InferReply {
  const json = jsonOf(reply) as { readonly model_version?: unknown; readonly outputs?: unknown } | null;
  const outputs = json?.outputs;
  if (!Array.isArray(outputs)) throw new RefusedError('the reply has no "outputs"');
  const version = json?.model_version;
  let at = Number(reply.headers[JSON_LENGTH] ?? reply.body.length);
  const tensors: Tensor[] = [];
  for (const output of outputs as (JsonOutput | null)[]) {
    const { name, datatype, shape } = typeOf(output);
    const elements = shape.reduce((product, dimension) => product * dimension, 1);
    const size = output?.parameters?.binary_data_size;
    if (size === undefined) {
      tensors.push({ name, datatype, shape, data: dataOfJson(name, datatype, elements, output?.data) });
      continue;
    }
    const end = at + Number(size);
    if (!(end >= at && end <= reply.body.length))
      throw new RefusedError(`output "${name}" says binary_data_size ${JSON.stringify(size)}, beyond the end of the reply`);
    tensors.push({ name, datatype, shape, data: dataOfRaw(name, datatype, elements, reply.body.subarray(at, end)) });
    at = end;
  }
  return { modelVersion: typeof version === "string" && version !== "" ? version : undefined, outputs: tensors };
}

function typeOf(output: JsonOutput | null): Pick<Tensor, "name" | "datatype" | "shape"> {
  const { name, datatype, shape } = output ?? {};
  if (typeof name !== "string") throw new RefusedError("an output has no name");
  if (typeof datatype !== "string" || !isDatatype(datatype))
    throw new RefusedError(`output "${name}" has the unknown datatype ${JSON.stringify(datatype)}`);
  const isShape = Array.isArray(shape) && shape.every((dimension) => Number.isInteger(dimension) && dimension >= 0);
  if (!isShape) throw new RefusedError(`output "${name}" has no shape of whole numbers`);
  return { name, datatype, shape: shape as number[] };
}
