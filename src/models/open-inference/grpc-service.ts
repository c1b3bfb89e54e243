/**
 * The gRPC form of the protocol, as its definition in open_inference_grpc.proto says: taken unchanged from
 * https://github.com/kserve/open-inference-protocol (commit d49cc23f), Apache License 2.0, copyright in the file.
 */
import { fileURLToPath } from "node:url";

import type { MethodDefinition, ServiceDefinition } from "@grpc/proto-loader";
import { loadSync } from "@grpc/proto-loader";

/** Messages are as the definition says: names as there, 64-bit integers as text, fields with default values left out. */
const packages = loadSync(fileURLToPath(new URL("./open_inference_grpc.proto", import.meta.url)), {
  keepCase: true,
  longs: String,
  arrays: true,
});

export interface NamedModel {
  readonly name: string;
  readonly version: string;
}

export interface GrpcTensorMetadata {
  readonly name?: string;
  readonly datatype?: string;
  readonly shape: readonly string[];
}

export interface GrpcModelMetadata {
  readonly name?: string;
  readonly versions: readonly string[];
  readonly inputs: readonly GrpcTensorMetadata[];
  readonly outputs: readonly GrpcTensorMetadata[];
}

/** Elements in the field that their datatype has; the others are empty. */
export interface GrpcContents {
  readonly bool_contents?: readonly boolean[];
  readonly int_contents?: readonly number[];
  readonly int64_contents?: readonly string[];
  readonly uint_contents?: readonly number[];
  readonly uint64_contents?: readonly string[];
  readonly fp32_contents?: readonly number[];
  readonly fp64_contents?: readonly number[];
  readonly bytes_contents?: readonly Uint8Array[];
}

export interface GrpcTensor {
  readonly name?: string;
  readonly datatype?: string;
  readonly shape: readonly (string | number)[];
  readonly contents?: GrpcContents | null;
}

export interface GrpcInferRequest {
  readonly model_name: string;
  readonly model_version: string;
  readonly inputs: readonly GrpcTensor[];
  readonly outputs: readonly { readonly name: string }[];
  readonly raw_input_contents: readonly Uint8Array[];
}

export interface GrpcInferReply {
  readonly model_name?: string;
  readonly model_version?: string;
  readonly outputs: readonly GrpcTensor[];
  readonly raw_output_contents: readonly Uint8Array[];
}

/** A call: what goes in, what comes out, and under which path. */
type Method<In, Out> = Pick<
  MethodDefinition<In, Out>,
  "path" | "requestSerialize" | "requestDeserialize" | "responseSerialize" | "responseDeserialize"
>;

interface Service {
  readonly ModelReady: Method<NamedModel, { readonly ready?: boolean }>;
  readonly ModelMetadata: Method<NamedModel, GrpcModelMetadata>;
  readonly ModelInfer: Method<GrpcInferRequest, GrpcInferReply>;
}

/** The service's definition, whole: for a server. */
export const inferenceService = packages["inference.GRPCInferenceService"] as ServiceDefinition;

export const { ModelReady, ModelMetadata, ModelInfer } = inferenceService as unknown as Service;
export type { Method };
