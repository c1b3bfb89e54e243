import type { TensorType } from "../tensors/tensor.ts";

/**
 * How ONNX Runtime runs a model: some of its session options, which tell more
 * (https://onnxruntime.ai/docs/api/js/interfaces/InferenceSession.SessionOptions.html).
 */
export interface OnnxSettings {
  /** Threads that work on one operator; default 1: more of them spin, and keep cores busy that other models and pipelines need. */
  readonly intraOpNumThreads?: number | undefined;
  /** Threads that work on operators beside each other; default 1. */
  readonly interOpNumThreads?: number | undefined;
  /** Default "sequential". */
  readonly executionMode?: "sequential" | "parallel" | undefined;
  /** Default "all". */
  readonly graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all" | undefined;
  /** Default ["cpu"]. */
  readonly executionProviders?: readonly (string | { readonly name: string })[] | undefined;
  /** Sizes of dimensions that the model leaves free, by name. */
  readonly freeDimensionOverrides?: { readonly [dimension: string]: number } | undefined;
  /** Default true. */
  readonly enableCpuMemArena?: boolean | undefined;
  /** Default true. */
  readonly enableMemPattern?: boolean | undefined;
  /** What ONNX Runtime writes to the standard error output: from 0, everything, to 4, fatal errors only; default 2, warnings. */
  readonly logSeverityLevel?: 0 | 1 | 2 | 3 | 4 | undefined;
  /** Settings by their keys in ONNX Runtime's C API. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined;
}

/** How a model is loaded: plain data, which goes to its process as it is. */
export interface OnnxModelOptions {
  /** The outputs that are wanted; default all. */
  readonly outputs?: readonly string[] | undefined;
  /** Whether floating-point inputs may be NaN or infinite, as for models to which NaN stands for what is missing; default "finite": such a row fails. */
  readonly values?: TensorType["values"];
  readonly settings?: OnnxSettings | undefined;
  /** Rows that it is given before events, so that the first of them finds it warm. */
  readonly warmUp?: readonly unknown[] | undefined;
}

/** Where nothing is set. */
export const DEFAULT_SETTINGS = { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: "sequential" } as const satisfies OnnxSettings;
