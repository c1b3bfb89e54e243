/**
 * Requests of `infer` over HTTP: in JSON, or by the binary tensor extension
 * (https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html): JSON that is followed by
 * the bytes of the tensors, with a header that says where it ends.
 */
import type { Tensor } from "../tensors/tensor.ts";
import type { AllocateData } from "../tensors/writer.ts";
import { Kept } from "./kept.ts";
import { rawOf } from "./raw-tensor.ts";
import { dataJson } from "./tensor-json.ts";
import type { InferRequest } from "./transport.ts";

/** How long the JSON is in front of binary tensors, in bytes. */
export const JSON_LENGTH = "inference-header-content-length";

/** A request, as it is sent. */
export interface InferMessage {
  /** Names and values in turn. */
  readonly headers: string[];
  readonly body: string | Uint8Array;
}

/** Makes the requests of one model. */
export interface RequestMaker {
  message(request: InferRequest): InferMessage;
  /** Memory for the elements of an input, not set to anything; undefined where any will do. */
  readonly allocate?: AllocateData | undefined;
}

/**
 * All tensors in JSON.
 * @param headers names and values in turn, sent with each
 */
export function jsonRequests(headers: readonly string[]): RequestMaker {
  const all = [...headers, "content-type", "application/json"];
  return {
    message({ inputs, outputs }) {
      const tensors = inputs.map((tensor) => `{${typeJson(tensor)},"data":${dataJson(tensor)}}`);
      const wanted = outputs === undefined ? "" : `,"outputs":${JSON.stringify(outputs.map((name) => ({ name })))}`;
      return { headers: all, body: `{"inputs":[${tensors.join(",")}]${wanted}}` };
    },
  };
}

/** Room in front of a tensor for the JSON of its request, in bytes: a multiple of every element's size. */
const ROOM = 1024;

/** All tensors as bytes, in both directions. */
export class BinaryRequests implements RequestMaker {
  readonly #headers: readonly string[];
  readonly #kept = new Kept<{ readonly headers: string[]; readonly json: Buffer }>();
  /** What `allocate` gave, where JSON can be written before the elements. */
  readonly #roomy = new WeakSet<ArrayBufferLike>();

  /** @param headers names and values in turn, sent with each */
  constructor(headers: readonly string[]) {
    this.#headers = [...headers, "content-type", "application/octet-stream"];
  }

  /** The elements have room before them, so that they are sent as they lie there. */
  readonly allocate: AllocateData = ({ array: TypedArray }, length) => {
    const { buffer } = Buffer.allocUnsafeSlow(ROOM + length * TypedArray.BYTES_PER_ELEMENT);
    this.#roomy.add(buffer);
    return new TypedArray(buffer, ROOM, length);
  };

  message({ inputs, outputs }: InferRequest): InferMessage {
    const raws = inputs.map(rawOf);
    const { headers, json } = this.#kept.get(keyOf(inputs, raws, outputs), () => this.#head(inputs, raws, outputs));
    const [only] = raws;
    const before = only !== undefined && raws.length === 1 && this.#roomy.has(only.buffer) ? ROOM - json.length : -1;
    if (only === undefined || before < 0) return { headers, body: Buffer.concat([json, ...raws]) };
    const body = Buffer.from(only.buffer as ArrayBuffer, before, json.length + only.length);
    body.set(json);
    return { headers, body };
  }

  #head(inputs: readonly Tensor[], raws: readonly Uint8Array[], outputs: readonly string[] | undefined) {
    const tensors = inputs.map((tensor, index) => `{${typeJson(tensor)},"parameters":{"binary_data_size":${raws[index]?.length}}}`);
    const wanted =
      outputs === undefined
        ? `"parameters":{"binary_data_output":true}`
        : `"outputs":${JSON.stringify(outputs.map((name) => ({ name, parameters: { binary_data: true } })))}`;
    const json = Buffer.from(`{"inputs":[${tensors.join(",")}],${wanted}}`);
    return { headers: [...this.#headers, JSON_LENGTH, String(json.length)], json };
  }
}

/** All that the JSON depends on, but for what is the same for a model. */
function keyOf(inputs: readonly Tensor[], raws: readonly Uint8Array[], outputs: readonly string[] | undefined): string {
  let key = outputs === undefined ? "" : outputs.length === 1 ? (outputs[0] as string) : outputs.join("\n");
  for (let index = 0; index < inputs.length; index++) {
    key += `;${raws[index]?.length}`;
    for (const size of (inputs[index] as Tensor).shape) key += `,${size}`;
  }
  return key;
}

function typeJson({ name, datatype, shape }: Tensor): string {
  return `"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(",")}]`;
}
