import type { Clock } from "../../clock.ts";
import type { Tensor } from "../tensors/tensor.ts";
import type { AllocateData } from "../tensors/writer.ts";

/** One model on one server, by one of the protocol's two forms. What it throws does not name the model: its caller does. */
export interface Transport extends AsyncDisposable {
  /** Where it is, for people: `http://127.0.0.1:8000`. Holds no secret. */
  readonly address: string;
  /** Memory for the elements of inputs, not set to anything, that can be sent without being copied; undefined where any will do. */
  readonly allocate?: AllocateData | undefined;
  /**
   * Settles when the model can be asked. Called before anything else.
   * @throws {RetryableError} when the server can't be reached, or is not ready
   * @throws {NotReadyError} when the server is there and the model is not, or is not ready
   */
  ready(limits: CallLimits): Promise<void>;
  metadata(limits: CallLimits): Promise<ModelMetadata>;
  infer(request: InferRequest, limits: CallLimits): Promise<InferReply>;
}

/** What a call may take. */
export interface CallLimits {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Milliseconds. */
  readonly timeout: number;
}

/** What a server says of a model. */
export interface ModelMetadata {
  readonly versions: readonly string[];
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** As the server gave it: the datatype may be one that we have no tensors for. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  /** With the rows first; -1 where any size will do. */
  readonly shape: readonly number[];
}

/** What is asked. */
export interface InferRequest {
  readonly inputs: readonly Tensor[];
  /** The names of the outputs that are wanted; undefined for all. */
  readonly outputs: readonly string[] | undefined;
}

/** What was answered, in the server's order. */
export interface InferReply {
  /** Undefined where the server keeps no versions. */
  readonly modelVersion: string | undefined;
  readonly outputs: readonly Tensor[];
}
