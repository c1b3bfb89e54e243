/**
 * What a model is: to the product that writes one, to the step that asks it, and to the places that run it. The engine
 * knows these, never an implementation.
 */
import type { Event } from "./batch.ts";
import type { Description, OpenContext, TaskIdentity } from "./contracts.ts";
import type { ModelIdentity, ModelSettings } from "./model-stats.ts";

/** What an asynchronous function gives back: the thing or a promise of it. */
type Awaitable<T> = T | PromiseLike<T>;

/**
 * A model, as a product's `model.ts` exports it by default. It may run in the worker, on a thread or in a process of its own,
 * so inputs and outputs are plain data: numbers, text, arrays, objects, Maps, Sets, Dates, bytes, typed arrays.
 */
export interface Model<In = unknown, Out = unknown> {
  /** Default: the file's name, or that of its folder when the file is `model` or `index`. */
  readonly name?: string | undefined;
  /** Default: the first eight characters of the SHA-256 of its file. */
  readonly version?: string | undefined;
  /** What the inputs are, for people. */
  readonly inputs?: string | undefined;
  /** What the outputs are, for people. */
  readonly outputs?: string | undefined;
  /** Inputs that it is given once after `load`, before events, so that the first of them finds it warm. */
  readonly warmUp?: readonly In[] | undefined;
  /** Called once in each worker, thread or process that runs it, before anything else. What it throws keeps the model from being used. */
  load?(context: LoadContext): Awaitable<unknown>;
  /**
   * One output for each input, in order: an array, or a typed array of numbers. `failed(error)` in the place of an output says that
   * this one alone could not be done. The inputs must not be changed.
   */
  predict(inputs: readonly In[], context: PredictContext): Awaitable<ArrayLike<Out>>;
  /** Called once behind the last `predict`, where the process has time for it: not after a crash. */
  unload?(): Awaitable<unknown>;
}

/** What `load` gets. */
export interface LoadContext {
  /** As given where the place was chosen: `threads(url, { settings: … })`. */
  readonly settings: unknown;
  /** Aborts when it is not wanted any more. */
  readonly signal: AbortSignal;
}

/** What `predict` gets besides the inputs. */
export interface PredictContext {
  /** Aborts when nobody waits for the answer any more: the time is up, or the work is given up. */
  readonly signal: AbortSignal;
}

/**
 * Defines a model: the default export of a product's `model.ts`. It returns what it is given; its job is to type it.
 * @example
 * export default defineModel({ predict: (inputs: readonly number[]) => inputs.map((n) => n * 2) });
 */
export function defineModel<In, Out>(model: Model<In, Out>): Model<In, Out> {
  return model;
}

/** The name of the header that results carry, with the value `NAME@VERSION`, once for each model that they went through. */
export const MODEL_HEADER = "millrace-model";

/** A model and where it runs, as part of a plan: data until it is opened. */
export interface ModelSpec<In = unknown, Out = unknown> {
  /** `worker`, `threads`, `processes`, `openInference`, `http`, `onnx`. */
  readonly kind: string;
  /** Holds no secret. */
  readonly description: Description;
  /** What holds for a step that does not say otherwise. */
  readonly defaults?: { readonly retries?: number | undefined; readonly maxSize?: number | undefined } | undefined;
  /** Paths of the files that it is loaded from, absolute or counting from the daemon's directory: it follows their changes itself. */
  readonly files?: readonly string[] | undefined;
  /** Looks whether it can be loaded at all, without loading it. @throws {ConfigError} when it can't */
  readonly check?: (() => Promise<void>) | undefined;
  /** Opens it; every opening of the same model in this process shares one copy. It is loaded and warm when this settles. */
  open(context: OpenContext, options: ModelOptions): Promise<OpenModel>;
  /** Not there when the program runs: keeps the types of inputs and outputs together. */
  readonly types?: { readonly in: (input: In) => void; readonly out: Out };
}

/** Whatever a `model.ts` may export by default. */
export type AnyModel = { predict(inputs: never, context: PredictContext): unknown } | ((inputs: never, context: PredictContext) => unknown);

type Predict<M> = M extends { predict: infer P } ? P : M;

/** The spec of a model with the types that its file gives it: `SpecOf<typeof model>`. */
export type SpecOf<M> =
  Predict<M> extends (inputs: readonly (infer In)[], context: PredictContext) => Awaitable<ArrayLike<infer Out>>
    ? ModelSpec<In, Out>
    : never;

/** Where the function of a `mapAsync` runs: in the worker's own thread, on threads, or in child processes. */
export type Concurrency = "async" | "thread" | "process";

/** A function in a module of its own, as part of a plan: data until it is placed and opened. */
export interface ModuleFunction<In = unknown, Out = unknown> {
  /** The module's URL. */
  readonly module: string;
  /** The name that it is exported by. */
  readonly exported: string;
  /** Where it runs, as a model whose rows are `ModuleCall`s. @param maxInFlight calls of a step under way at a time */
  place(concurrency: Concurrency, maxInFlight: number): ModelSpec;
  /** Not there when the program runs: keeps the types of its value and result together. */
  readonly types?: { readonly in: (value: In) => void; readonly out: Out };
}

/** One call of a function in a module. */
export interface ModuleCall {
  readonly value: unknown;
  /** Plain data for its context: with `passContext`. */
  readonly context: ModuleCallOrigin | undefined;
}

/** Whose call it is, for a function in a module. */
export interface ModuleCallOrigin {
  readonly task: TaskIdentity;
  readonly partition: string;
  readonly step: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
}

/** What a function in a module gets as its second argument, wherever it runs. Only plain data gets there; with `passContext` also whose call it is. */
export interface ModuleContext extends Partial<ModuleCallOrigin> {
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** As given with the module. */
  readonly settings: unknown;
}

/** What an opened model is asked to do for a step. */
export interface ModelOptions {
  /** The step's name. */
  readonly step: string;
  readonly batching: Batching;
}

/** A model as a step of a plan asks it: the key of what is open. */
export interface PlannedModel {
  readonly spec: ModelSpec;
  readonly options: ModelOptions;
  /** Whether the pipeline can't work without it. */
  readonly need: "needed" | "dispensable";
}

/** How calls of one model are joined. Rows are counted, not calls. */
export interface Batching {
  /** The most rows that go to the model in one call. */
  readonly maxSize: number;
  /** For how long a call may wait for others to join it, in milliseconds, when the model could take it at once; 0: never. */
  readonly maxDelay: number;
  /** The most rows that wait for the model, over all callers; more wait at their caller, and so at its source. */
  readonly maxQueuedRows: number;
  /** The same in bytes, as far as sizes are known. */
  readonly maxQueuedBytes: number;
}

/** A model that can be asked. */
export interface OpenModel extends AsyncDisposable {
  /** What answers now. */
  readonly identity: ModelIdentity;
  /** Registers one that will ask, so that callers get turns and nobody waits for calls that can't come. */
  caller(options: CallerOptions): ModelCaller;
}

/** Who asks. */
export interface CallerOptions {
  /** `task/step/partition`: tells callers apart. */
  readonly name: string;
  /** The most calls that it has under way at a time. */
  readonly maxInFlight: number;
  /** Calls of a higher one go first; default 0. */
  readonly priority: number;
}

/** One partition's step, as the model knows it. */
export interface ModelCaller extends Disposable {
  /** How many calls it may have under way now: one while more waits for the model than may (`maxQueuedRows`, `maxQueuedBytes`). */
  readonly maxInFlight: number;
  /**
   * One output for each input, in order; a `failed(error)` may stand among them. Rejects with a DataError-like error of the model, with an
   * InfrastructureError when the model is away or too late, and with the signal's reason.
   */
  predict(inputs: readonly unknown[], call: ModelCall): Promise<ModelAnswer>;
}

/** What goes with the inputs of a call. */
export interface ModelCall {
  /** The events that the inputs are the values of, in the same order, for what needs more than the value: never changed. */
  readonly events: readonly Event[];
  /** How many callers' calls it was made of; default 1. */
  readonly joined?: number | undefined;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** The clock's `elapsed` at which the answer is worth nothing any more; Infinity for never. */
  readonly until: number;
}

/** What a model answered. */
export interface ModelAnswer {
  readonly outputs: ArrayLike<unknown>;
  /** What answered it. */
  readonly identity: ModelIdentity;
}

/** What runs one version of a model: what a place makes. It is loaded and warm when it is made, and given up by its disposal, which waits for calls under way. */
export interface ModelRunner extends AsyncDisposable {
  readonly identity: ModelIdentity;
  /** What the inputs and outputs are, for people. */
  readonly types?: { readonly inputs?: string | undefined; readonly outputs?: string | undefined } | undefined;
  /** How many calls it works on at a time: more than these only wait in it, so they wait before it, where they are joined. May change. */
  readonly capacity: number;
  /**
   * One output for each row, in order; whoever calls it checks that. Rejects with what the model threw, with an InfrastructureError when it is
   * away, and with the signal's reason.
   */
  run(rows: readonly unknown[], call: ModelCall): Promise<ArrayLike<unknown>>;
}

/** What a place loads a model with. */
export interface RunnerContext extends Pick<
  OpenContext,
  "shared" | "logger" | "clock" | "directory" | "random" | "hide" | "mode" | "tracer"
> {
  /** Aborts when the model is not wanted any more. */
  readonly signal: AbortSignal;
  readonly settings: ModelSettings;
  /** Says why it can't work now, for the operator; undefined when it can again. */
  waiting(reason: string | undefined): void;
  /** Events in its life, raised as they happen. */
  readonly events: ModelEvents;
}

/** What is counted of a runner beside its calls. */
export interface ModelEvents {
  /** A thread or process that ran it is started again. */
  restarted(): void;
}

/** How a runner is loaded: the work of a place. */
export type LoadRunner = (context: RunnerContext) => Promise<ModelRunner>;
