/**
 * Requests and replies of `ModelInfer`: tensors as raw contents, or in the field of their datatype.
 */
import { RefusedError } from "../../errors.ts";
import { elementsOf, isDatatype } from "../tensors/datatypes.ts";
import type { Datatype, Tensor, TensorData } from "../tensors/tensor.ts";
import type { GrpcContents, GrpcInferReply, GrpcInferRequest, GrpcTensor } from "./grpc-service.ts";
import { dataOfRaw, rawOf } from "./raw-tensor.ts";
import { dataOfJson } from "./tensor-json.ts";
import type { InferReply, InferRequest } from "./transport.ts";

/** The field of each datatype among the contents. */
const FIELDS: { readonly [D in Datatype]: keyof GrpcContents } = {
  BOOL: "bool_contents",
  INT8: "int_contents",
  INT16: "int_contents",
  INT32: "int_contents",
  INT64: "int64_contents",
  UINT8: "uint_contents",
  UINT16: "uint_contents",
  UINT32: "uint_contents",
  UINT64: "uint64_contents",
  FP32: "fp32_contents",
  FP64: "fp64_contents",
  BYTES: "bytes_contents",
};

/** Which model is asked, and how its inputs are carried. */
export interface GrpcAsked {
  readonly model: string;
  readonly version: string | undefined;
  readonly contents: "raw" | "typed";
}

export function grpcRequest({ inputs, outputs = [] }: InferRequest, { model, version = "", contents }: GrpcAsked): GrpcInferRequest {
  return {
    model_name: model,
    model_version: version,
    inputs: inputs.map((tensor) => {
      const { name, datatype, shape } = tensor;
      return { name, datatype, shape, ...(contents === "typed" ? { contents: typedContents(tensor) } : {}) };
    }),
    outputs: outputs.map((name) => ({ name })),
    raw_input_contents: contents === "raw" ? inputs.map(rawOf) : [],
  };
}

function typedContents({ datatype, data }: Tensor): GrpcContents {
  const field = FIELDS[datatype];
  if (!ArrayBuffer.isView(data)) return { [field]: data.map((element) => (typeof element === "string" ? Buffer.from(element) : element)) };
  if (datatype === "BOOL") return { [field]: Array.from(data as Uint8Array, Boolean) };
  if (elementsOf(datatype)?.kind === "bigint") return { [field]: Array.from(data as BigInt64Array, String) };
  return { [field]: Array.from(data as Float64Array) };
}

/** What the server answered. @throws {RefusedError} */
export function inferReplyOfGrpc({ model_version: version, outputs, raw_output_contents: raws }: GrpcInferReply): InferReply {
  if (raws.length > 0 && raws.length !== outputs.length)
    throw new RefusedError(`the reply has ${raws.length} raw contents for ${outputs.length} outputs`);
  const tensors = outputs.map((output, index) => tensorOf(output, raws[index]));
  return { modelVersion: version === "" ? undefined : version, outputs: tensors };
}

function tensorOf(output: GrpcTensor, raw: Uint8Array | undefined): Tensor {
  const { name = "", datatype = "" } = output;
  if (!isDatatype(datatype)) throw new RefusedError(`output "${name}" has the unknown datatype "${datatype}"`);
  const shape = output.shape.map(Number);
  if (!shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0))
    throw new RefusedError(`output "${name}" has a shape that is none: [${output.shape.join(",")}]`);
  const elements = shape.reduce((product, dimension) => product * dimension, 1);
  const data = raw === undefined ? contentsData(name, datatype, elements, output.contents) : dataOfRaw(name, datatype, elements, raw);
  return { name, datatype, shape, data };
}

function contentsData(name: string, datatype: Datatype, elements: number, contents: GrpcContents | null | undefined): TensorData {
  const given: readonly unknown[] = contents?.[FIELDS[datatype]] ?? [];
  return dataOfJson(name, datatype, elements, given.map(plain));
}

/** 64-bit integers come as text, and text as bytes. */
function plain(element: unknown): unknown {
  if (element instanceof Uint8Array) return Buffer.from(element.buffer, element.byteOffset, element.length).toString("utf8");
  return typeof element === "string" ? BigInt(element) : element;
}
