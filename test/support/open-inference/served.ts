import type { Tensor, TensorType } from "../../../src/models/tensors/tensor.ts";

/** What a server hosts. */
export interface HostedModel {
  readonly name: string;
  /** Default: the server keeps none. */
  readonly version?: string;
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  /** The server answers 400, or INVALID_ARGUMENT, with the message of what it throws. */
  predict(inputs: readonly Tensor[]): readonly Tensor[] | Promise<readonly Tensor[]>;
}

/** How a server answers `infer` where it does not do so well. */
export type Misdeed =
  /** Another HTTP status, or by the same number another gRPC code; with these headers, and the message in an `error`. */
  | { readonly how: "refuses"; readonly status: number; readonly message?: string; readonly headers?: Readonly<Record<string, string>> }
  /** The bytes of its reply end in the middle, though the transfer is whole. */
  | { readonly how: "truncates" }
  /** A body of that many bytes, sent as long as anybody reads. */
  | { readonly how: "floods"; readonly bytes: number }
  /** Begins a reply and never ends it; over gRPC it never begins. */
  | { readonly how: "never ends" }
  /** Closes the connection in place of an answer. */
  | { readonly how: "hangs up" }
  /** Answers 200 with something else. HTTP only. */
  | { readonly how: "says"; readonly type: string; readonly body: string }
  /** Other tensors than the model gave. */
  | { readonly how: "changes"; readonly outputs: (outputs: readonly Tensor[]) => readonly Tensor[] };

/** What a server does in the place of an answer of its model. */
export type Instead = Exclude<Misdeed, { readonly how: "changes" | "truncates" }>;

/** A request that came to `infer`. */
export interface Asked {
  readonly inputs: readonly Tensor[];
  readonly encoding: "json" | "binary" | "raw" | "typed";
  /** Headers, or metadata, by lower-case names. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What the endpoints of a server share, and a test can change. */
export interface ServerState {
  readonly model: HostedModel;
  readonly extensions: readonly string[];
  /** False: answers that it is not ready. */
  ready: boolean;
  /** Asked before each answer to `infer`; undefined for an honest one. */
  misdeed: () => Misdeed | undefined;
  readonly asked: Asked[];
  /** Bytes of bodies that were written to `floods` replies. */
  flooded: number;
}

/** The answer of the model, or what a misdeed makes of it. */
export async function answerOf(state: ServerState, asked: Asked, misdeed: Misdeed | undefined): Promise<readonly Tensor[]> {
  const outputs = await state.model.predict(asked.inputs);
  return misdeed?.how === "changes" ? misdeed.outputs(outputs) : outputs;
}
