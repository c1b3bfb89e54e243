import type { handleUnaryCall, sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";

import { messageOf } from "../../../src/errors.ts";
import type { GrpcContents, GrpcInferReply, GrpcInferRequest, NamedModel } from "../../../src/models/open-inference/grpc-service.ts";
import { inferenceService } from "../../../src/models/open-inference/grpc-service.ts";
import type { Datatype, Tensor, TensorType } from "../../../src/models/tensors/tensor.ts";
import type { Instead, ServerState } from "./served.ts";
import { answerOf } from "./served.ts";
import { dataOf, elementsOf, fromBytes, toBytes } from "./wire.ts";

/** The protocol's gRPC form. Replies are carried as the request was: raw, or in typed contents. */
export class GrpcEndpoint implements AsyncDisposable {
  readonly #state: ServerState;
  readonly #server = new Server({ "grpc.max_send_message_length": -1, "grpc.max_receive_message_length": -1 });
  port = 0;

  static async listen(state: ServerState, port: number): Promise<GrpcEndpoint> {
    const endpoint = new GrpcEndpoint(state);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    endpoint.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
    endpoint.port = await promise;
    return endpoint;
  }

  private constructor(state: ServerState) {
    this.#state = state;
    const { model } = state;
    // A reply can be no message at all, so what is sent are bytes.
    const { ModelInfer } = inferenceService;
    const service = { ...inferenceService, ModelInfer: { ...ModelInfer, responseSerialize: (bytes: Buffer) => bytes } };
    this.#server.addService(service as typeof inferenceService, {
      ServerLive: unary(() => ({ live: true })),
      ServerReady: unary(() => ({ ready: true })),
      ServerMetadata: unary(() => ({ name: "test", version: "1", extensions: state.extensions })),
      ModelReady: unary((named: NamedModel) => {
        this.#check(named.name, named.version);
        return { ready: state.ready };
      }),
      ModelMetadata: unary((named: NamedModel) => {
        this.#check(named.name, named.version);
        const versions = model.version === undefined ? [] : [model.version];
        return { name: model.name, versions, platform: "test", inputs: metadata(model.inputs), outputs: metadata(model.outputs) };
      }),
      ModelInfer: (call: ServerUnaryCall<GrpcInferRequest, Buffer>, callback: sendUnaryData<Buffer>) => {
        void this.#infer(call, callback);
      },
    });
  }

  #check(name: string, version: string): void {
    const { model } = this.#state;
    if (name !== model.name || (version !== "" && version !== model.version)) throw new NotFound(`Model ${name} not found`);
  }

  async #infer(call: ServerUnaryCall<GrpcInferRequest, Buffer>, callback: sendUnaryData<Buffer>): Promise<void> {
    const { request } = call;
    const { raw_input_contents: raws } = request;
    const inputs = request.inputs.map(({ name = "", datatype = "", shape, contents }, index): Tensor => {
      const type = datatype as Datatype;
      const raw = raws[index];
      const data = raw === undefined ? dataOf(type, contentsOf(contents)) : fromBytes(type, Buffer.from(raw));
      return { name, datatype: type, shape: shape.map(Number), data };
    });
    const asked = { inputs, headers: call.metadata.getMap(), encoding: raws.length > 0 ? ("raw" as const) : ("typed" as const) };
    this.#state.asked.push(asked);
    const misdeed = this.#state.misdeed();
    if (misdeed !== undefined && misdeed.how !== "changes" && misdeed.how !== "truncates") {
      this.#misbehave(misdeed, callback);
      return;
    }
    try {
      const reply = replyOf(this.#state, await answerOf(this.#state, asked, misdeed), asked.encoding);
      const bytes = inferenceService["ModelInfer"]!.responseSerialize(reply);
      callback(null, misdeed?.how === "truncates" ? bytes.subarray(0, Math.floor(bytes.length / 2)) : bytes);
    } catch (error) {
      callback({ code: status.INVALID_ARGUMENT, details: messageOf(error) });
    }
  }

  #misbehave(misdeed: Instead, callback: sendUnaryData<Buffer>): void {
    switch (misdeed.how) {
      case "refuses": {
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(misdeed.headers ?? {})) metadata.set(name, value);
        callback(Object.assign(new Error("refused"), { code: misdeed.status, details: misdeed.message ?? "refused", metadata }));
        return;
      }
      case "floods":
        callback(null, Buffer.alloc(misdeed.bytes));
        return;
      case "hangs up":
        this.#server.forceShutdown();
        return;
      case "never ends":
        return;
      default:
        throw new Error(`a gRPC server can't do this: ${misdeed.how}`);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    return Promise.resolve();
  }
}

class NotFound extends Error {}

function unary<In, Out>(answer: (request: In) => Out): handleUnaryCall<In, Out> {
  return (call, callback) => {
    try {
      callback(null, answer(call.request));
    } catch (error) {
      callback({ code: error instanceof NotFound ? status.NOT_FOUND : status.INTERNAL, details: messageOf(error) });
    }
  };
}

function contentsOf(contents: GrpcContents | null | undefined): readonly unknown[] {
  const filled = Object.values(contents ?? {}).find((field: readonly unknown[]) => field.length > 0);
  return (filled ?? []).map((element: unknown) => (element instanceof Uint8Array ? Buffer.from(element).toString() : element));
}

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

function replyOf({ model }: ServerState, outputs: readonly Tensor[], encoding: "raw" | "typed"): GrpcInferReply {
  const told = outputs.map((output) => {
    const { name, datatype, shape } = output;
    if (encoding === "raw") return { name, datatype, shape };
    const elements = elementsOf(output).map((element) =>
      typeof element === "string" ? Buffer.from(element) : typeof element === "bigint" ? String(element) : element,
    );
    return { name, datatype, shape, contents: { [FIELDS[datatype]]: elements } };
  });
  return {
    model_name: model.name,
    model_version: model.version ?? "",
    outputs: told,
    raw_output_contents: encoding === "raw" ? outputs.map(toBytes) : [],
  };
}

function metadata(tensors: readonly TensorType[]) {
  return tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape: [-1, ...shape.map((size) => size ?? -1)] }));
}
