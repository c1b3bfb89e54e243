/**
 * `millrace`: the only door for products.
 */
export { z } from "zod";

export type { Batch, Event, EventHeaders, Origin, Position } from "./batch.ts";
export { END_OF_INPUT, NO_WATERMARK } from "./batch.ts";
export type { Clock } from "./clock.ts";
export type {
  Failures,
  Logger,
  OpenContext,
  Partition,
  RunContext,
  Sink,
  SinkSpec,
  Source,
  SourceSpec,
  Step,
  TaskIdentity,
} from "./contracts.ts";
export type { DeadLetter, LetterBox } from "./dead-letter.ts";
export type { TensorDecoding } from "./decode-tensor.ts";
export type { Duration } from "./duration.ts";
export { DataError, InfrastructureError, MillraceError, ModelError, NotReadyError, PlanError, RefusedError } from "./errors.ts";
export type { LoadContext, Model, ModelSpec, ModuleContext, ModuleFunction, PredictContext } from "./model.ts";
export { defineModel } from "./model.ts";
export type { ModelConfig } from "./models/config.ts";
export { model, modelConfig } from "./models/config.ts";
export type { LaneOptions } from "./models/lanes/place-options.ts";
export type { ProcessesOptions } from "./models/lanes/processes.ts";
export { processes } from "./models/lanes/processes.ts";
export type { ThreadsOptions } from "./models/lanes/threads.ts";
export { threads } from "./models/lanes/threads.ts";
export type { OnnxOptions } from "./models/onnx/onnx.ts";
export { onnx } from "./models/onnx/onnx.ts";
export type { OnnxSettings } from "./models/onnx/options.ts";
export { openInference } from "./models/open-inference/open-inference.ts";
export type { OpenInferenceOptions } from "./models/open-inference/remote-model.ts";
export type { Datatype, TensorType } from "./models/tensors/tensor.ts";
export type { CircuitBreakerOptions } from "./models/circuit-breaker.ts";
export type { ModuleFunctionOptions } from "./models/functions/module-function.ts";
export { moduleFunction } from "./models/functions/module-function.ts";
export { http } from "./models/http/http.ts";
export type { HttpBatchOptions, HttpReply, HttpRowOptions } from "./models/http/options.ts";
export type { WorkerOptions } from "./models/worker.ts";
export { worker } from "./models/worker.ts";
export type { Stream } from "./pipeline/builder.ts";
export type {
  Awaitable,
  BatchOptions,
  ErrorOptions,
  TimeOptions,
  WindowResult,
  WindowValue,
  WindowValues,
} from "./pipeline/builder-types.ts";
export { from } from "./pipeline/builder.ts";
export type { CallContext, CallOptions } from "./pipeline/call.ts";
export type { DeduplicateOptions } from "./pipeline/deduplicate/deduplicate-options.ts";
export type { ErrorHandler, Failure, HandlerAnswer, HandlerPolicy, HandlerSteps } from "./pipeline/error-handler.ts";
export type { ErrorAction, ErrorActions, ErrorPolicy } from "./pipeline/error-policy.ts";
export type { BreakerOptions } from "./pipeline/flood-breaker.ts";
export { FloodError } from "./pipeline/flood-breaker.ts";
export type { BatchingOptions, InferOptions } from "./pipeline/infer.ts";
export { failed } from "./pipeline/infer.ts";
export type {
  CanaryOptions,
  Comparison,
  FallbackCases,
  FallbackOptions,
  ModelOrFunction,
  ShadowOptions,
  CompanionOptions,
} from "./pipeline/inference/companion-options.ts";
export type { Plan } from "./pipeline/plan.ts";
export type { MapAsyncOptions } from "./pipeline/planned-calls.ts";
export { RetryableError } from "./pipeline/retry.ts";
export { count } from "./pipeline/windows/count.ts";
export type { Fold } from "./pipeline/windows/fold.ts";
export { max, mean, min, sum } from "./pipeline/windows/fold.ts";
export type { WindowSpec } from "./pipeline/windows/spec.ts";
export { countOrTime, session, sliding, tumbling } from "./pipeline/windows/spec.ts";
export type { WindowOptions } from "./pipeline/windows/window-options.ts";
export type { PipelineContext, Product, TaskInput } from "./product.ts";
export { defineProduct } from "./product.ts";
export type { SinkConfig } from "./sinks/config.ts";
export { sink, sinkConfig } from "./sinks/config.ts";
export type { MemorySink } from "./sinks/memory.ts";
export { memorySink } from "./sinks/memory.ts";
export type { SourceConfig } from "./sources/config.ts";
export { source, sourceConfig } from "./sources/config.ts";
export { memorySource } from "./sources/memory.ts";
export type { Format } from "./values.ts";
export { decode, encode } from "./values.ts";
