import type { Event } from "../batch.ts";
import type { SinkSpec, SourceSpec, Step } from "../contracts.ts";
import { milliseconds, positiveMilliseconds } from "../duration.ts";
import { PlanError } from "../errors.ts";
import type { ModelSpec, ModuleFunction } from "../model.ts";
import { batchStep } from "./batch-step.ts";
import type {
  Awaitable,
  BatchOptions,
  ErrorOptions,
  KeyOptions,
  StepOptions,
  TimeOptions,
  ViaOptions,
  WindowResult,
} from "./builder-types.ts";
import type { CallContext } from "./call.ts";
import type { DeduplicateOptions } from "./deduplicate/deduplicate-options.ts";
import { deduplicatePlan, deduplicateShape, describeDeduplicate } from "./deduplicate/deduplicate-options.ts";
import { deduplicateStep } from "./deduplicate/deduplicate-step.ts";
import type { ErrorHandler, Failure, HandlerSteps } from "./error-handler.ts";
import { checkHandlerSteps } from "./error-handler.ts";
import type { ErrorPolicy } from "./error-policy.ts";
import { describePolicy, errorPolicy } from "./error-policy.ts";
import { flatMapStep } from "./flat-map.ts";
import { functionOf } from "./given.ts";
import type { InferOptions } from "./infer.ts";
import type { CompanionOptions } from "./inference/companion-options.ts";
import type { Plan, PlannedStep, Work } from "./plan.ts";
import { canBeOpened } from "./plan.ts";
import type { MapAsyncOptions } from "./planned-calls.ts";
import { plannedCalls } from "./planned-calls.ts";
import type { ErrorSettings } from "./planned-errors.ts";
import { plannedErrors } from "./planned-errors.ts";
import { plannedInference } from "./planned-inference.ts";
import { timeByStep, timeByTransform, WATERMARK_SHAPE } from "./time-by.ts";
import { checkTransactions } from "./transacted.ts";
import type { EventFunction } from "./transforms.ts";
import { filterTransform, keyByTransform, mapTransform, tapTransform } from "./transforms.ts";
import type { Fold, NamedFolds } from "./windows/fold.ts";
import type { WindowSpec } from "./windows/spec.ts";
import type { WindowOptions } from "./windows/window-options.ts";
import { describeWindow, stateLimit, windowPlan, windowShape } from "./windows/window-options.ts";
import { windowStep } from "./windows/window-step.ts";

/** Begins a pipeline at a source. */
export function from<T>(source: SourceSpec<T>): Stream<T> {
  if (!canBeOpened(source)) throw new PlanError("from: give a source, such as source(config.input)");
  return new Stream<T>(source, [], {});
}

/**
 * A pipeline in the making. Each method gives a new one with a step more; nothing runs. Functions of `map`, `filter`,
 * `flatMap`, `tap`, `keyBy` and `timeBy` are synchronous and called once for each event, in order; an exception is a data
 * error of its event, and ends the task there unless a policy says otherwise (`onError`).
 */
export class Stream<T> {
  readonly #source: SourceSpec;
  readonly #steps: readonly PlannedStep[];
  readonly #errors: ErrorSettings;

  constructor(source: SourceSpec, steps: readonly PlannedStep[], errors: ErrorSettings) {
    this.#source = source;
    this.#steps = steps;
    this.#errors = errors;
  }

  /**
   * What becomes of events that can't be processed, in the whole pipeline: in steps without an `onError` of their own, in the
   * source (a record that can't be decoded) and in the sinks (an event that they refuse). Default "fail": the task stops at that event;
   * "deadLetter" where the pipeline has a box for them.
   */
  onError(policy: ErrorPolicy | ErrorHandler, options: ErrorOptions = {}): Stream<T> {
    if (this.#errors.onError !== undefined) throw new PlanError("onError: it stands for the whole pipeline, so give it once");
    const given = typeof policy === "function" ? { handle: policy, into: options.into } : policy;
    const onError = errorPolicy("the pipeline", given, (steps) => Stream.handlerSteps("the pipeline", "onError.", steps));
    return new Stream<T>(this.#source, this.#steps, { ...this.#errors, onError, breaker: options.breaker });
  }

  /** Where events are kept that can't be processed, so that they can be looked at and replayed. They go there by default then. */
  deadLetter(box: SinkSpec): Stream<T> {
    if (this.#errors.deadLetter !== undefined) throw new PlanError("deadLetter: a pipeline has one box for dead letters; give it once");
    if (!canBeOpened(box)) throw new PlanError("deadLetter: give a sink, such as sink(config.deadLetters)");
    if (typeof box.openLetters !== "function") {
      throw new PlanError(`deadLetter: a ${box.kind} sink can't keep dead letters; use kafka, jetstream, file or sql`);
    }
    return new Stream<T>(this.#source, this.#steps, { ...this.#errors, deadLetter: box });
  }

  /** Replaces each value. */
  map<U>(fn: EventFunction<T, U>, options: StepOptions = {}): Stream<U> {
    const name = this.#name("map", options.name);
    const each = functionOf<EventFunction<unknown, unknown>>(name, fn);
    return this.#with({ name, kind: "map", work: { type: "transform", make: (run) => mapTransform(name, each, run) } }, options.onError);
  }

  /** Keeps the events for which the function is truthy. */
  filter<U extends T>(fn: (value: T, event: Readonly<Event<T>>) => value is U, options?: StepOptions): Stream<U>;
  filter(fn: EventFunction<T, unknown>, options?: StepOptions): Stream<T>;
  filter(fn: EventFunction<T, unknown>, options: StepOptions = {}): Stream<T> {
    const name = this.#name("filter", options.name);
    const each = functionOf<EventFunction<unknown, unknown>>(name, fn);
    return this.#with(
      { name, kind: "filter", work: { type: "transform", make: (run) => filterTransform(name, each, run) } },
      options.onError,
    );
  }

  /** Replaces each event by any number of events, with its key, time and headers. */
  flatMap<U>(fn: EventFunction<T, Iterable<U>>, options: StepOptions = {}): Stream<U> {
    const name = this.#name("flatMap", options.name);
    const each = functionOf<EventFunction<unknown, Iterable<unknown>>>(name, fn);
    return this.#with({ name, kind: "flatMap", work: { type: "step", step: flatMapStep(name, each) } }, options.onError);
  }

  /** Looks at each event and passes it on. */
  tap(fn: EventFunction<T, unknown>, options: StepOptions = {}): Stream<T> {
    const name = this.#name("tap", options.name);
    const each = functionOf<EventFunction<unknown, unknown>>(name, fn);
    return this.#with({ name, kind: "tap", work: { type: "transform", make: (run) => tapTransform(name, each, run) } }, options.onError);
  }

  /** Sets the key; not the partition that the event is worked on in. Keys that must meet must come from one partition. */
  keyBy(fn: EventFunction<T, string | number | undefined>, options: KeyOptions = {}): Stream<T> {
    const name = this.#name("keyBy", options.name);
    const each = functionOf<EventFunction<unknown, unknown>>(name, fn);
    const work: Work = { type: "transform", make: (run) => keyByTransform(name, each, run) };
    return this.#with({ name, kind: "keyBy", description: { colocated: options.colocated }, work }, options.onError);
  }

  /** Sets the event time (a Date or milliseconds since the epoch), and with it the watermark. */
  timeBy(fn: EventFunction<T, Date | number>, options: TimeOptions = {}): Stream<T> {
    const name = this.#name("timeBy", options.name);
    return this.#with(plannedTime(name, functionOf(name, fn), options), options.onError);
  }

  /**
   * An asynchronous function per event, at most `maxInFlight` at a time, results in input order unless `ordered` is false. It runs in the worker's
   * own thread, or where `concurrency` says: on threads or in processes it is a `moduleFunction`.
   */
  mapAsync<R extends Returned<E>, E extends boolean = false, C extends boolean = false>(
    fn: ModuleFunction<Given<T, E>, R> | ((value: Given<T, E>, context: Context<C>) => Awaitable<R>),
    options: MapAsyncOptions & Flags<E, C> = {},
  ): Stream<Kept<R, E>> {
    const name = this.#name("mapAsync", options.name);
    return this.#with(plannedCalls(name, fn, options), options.onError);
  }

  /**
   * A model over arrays of inputs: neighbouring events go in one call, at most `maxInFlight` calls at a time, results in input order. It is
   * a function, which runs in the pipeline itself, or a model and its place: `threads(url)`, `openInference({ … })` … A model is loaded
   * before the source is opened, is shared by all pipelines of a worker, and is named in the header `millrace-model` of its results.
   * Others can be asked besides: a `shadow` for comparison, a `canary` for a share of the keys, a `fallback` where it fails or is late.
   */
  infer<R extends Returned<E>, E extends boolean = false, C extends boolean = false, S = unknown>(
    model: ModelSpec<T, R> | ((inputs: readonly Given<T, E>[], context: Context<C>) => Awaitable<Rows<R>>),
    options: InferOptions & CompanionOptions<T, NoInfer<R>, S> & Flags<E, C> = {},
  ): Stream<Kept<R, E>> {
    const name = this.#name("infer", options.name);
    return this.#with(
      plannedInference(name, model, options as InferOptions & CompanionOptions<unknown, unknown, unknown>),
      options.onError,
    );
  }

  /** Joins values into arrays: when `size` are there, or `time` after the first of them came, or at the end of a finite input. */
  batch(options: BatchOptions<T>): Stream<readonly T[]> {
    const name = this.#name("batch", options.name);
    const { size, time } = options;
    if (size === undefined && time === undefined) throw new PlanError(`step "${name}": give size, time, or both`);
    if (size !== undefined && (!Number.isInteger(size) || size < 1)) {
      throw new PlanError(`step "${name}": size must be a whole number, 1 or more (got ${size})`);
    }
    const step = batchStep({
      name,
      size: size ?? Number.POSITIVE_INFINITY,
      time: time === undefined ? undefined : positiveMilliseconds(time, `step "${name}": time`),
      key: options.key === undefined ? undefined : functionOf(name, options.key),
      maxHeldEvents: stateLimit(name, "maxHeldEvents", options.maxHeldEvents, 1_000_000),
      maxHeldBytes: stateLimit(name, "maxHeldBytes", options.maxHeldBytes, 256 * 1024 * 1024),
    });
    const description = { size, time, per: options.key === undefined ? "all" : "key" };
    const memory = { shape: `events waiting in batches${options.key === undefined ? "" : " by key"}` };
    return this.#with({ name, kind: "batch", description, stateful: true, memory, work: { type: "step", step } }, options.onError);
  }

  /**
   * Drops events whose id was seen before: within a time, or among the last `count` ids. The first one goes through, and is what is
   * remembered, in each partition by itself and over restarts.
   */
  deduplicate(idOf: EventFunction<T, string | number | bigint>, options: DeduplicateOptions): Stream<T> {
    const name = this.#name("deduplicate", options?.name);
    const plan = deduplicatePlan(name, functionOf(name, idOf), options);
    const description = describeDeduplicate(options);
    const memory = { shape: deduplicateShape(plan) };
    const work: Work = { type: "step", step: deduplicateStep(plan) };
    return this.#with({ name, kind: "deduplicate", description, stateful: true, memory, work }, options.onError);
  }

  /** Windows: one result for each, when the watermark reaches its end and `lateness`. */
  window<A = never, R = A, F extends NamedFolds<T> = never>(
    spec: WindowSpec,
    options: WindowOptions & { readonly fold?: Fold<T, A, R> | F } = {},
  ): Stream<WindowResult<T, R, F>> {
    const name = this.#name("window", options.name);
    const plan = windowPlan(name, spec, options);
    const description = describeWindow(spec, options);
    const work: Work = { type: "step", step: windowStep(plan) };
    const memory = { shape: windowShape(plan, options.fold) };
    return this.#with({ name, kind: "window", description, stateful: true, memory, side: options.late, work }, options.onError);
  }

  /** A step of one's own. It must keep to the contract of `Step`, above all about positions. */
  via<U>(name: string, step: Step<T, U>, options: ViaOptions = {}): Stream<U> {
    const work: Work = { type: "step", step: functionOf(name, step) };
    const { memory, stateful, onError } = options;
    const planned = {
      name: this.#name("via", name),
      kind: "via",
      stateful: stateful === true || memory !== undefined,
      memory: memory === undefined ? undefined : { shape: memory },
      work,
    };
    return this.#with(planned, onError);
  }

  /** Ends the pipeline: every event goes to each of the sinks, and is done when all have confirmed it. */
  to(sinks: SinkSpec | readonly SinkSpec[]): Plan {
    const all = Array.isArray(sinks) ? (sinks as readonly SinkSpec[]) : [sinks as SinkSpec];
    if (all.length === 0) throw new PlanError("to: give at least one sink");
    if (!all.every(canBeOpened)) throw new PlanError("to: give a sink, such as sink(config.output), or an array of sinks");
    const plan = { source: this.#source, steps: this.#withEventTime(), sinks: all, ...plannedErrors(this.#steps, this.#errors) };
    checkTransactions(plan);
    return plan;
  }

  /** The steps behind those that an error handler got. */
  static handlerSteps(where: string, prefix: string, make: HandlerSteps["steps"]): readonly PlannedStep[] {
    const made: unknown = make(new Stream<Failure>(FAILURES, [], { prefix }));
    if (!(made instanceof Stream)) throw new PlanError(`${where}: onError.steps must return the stream that it makes of the failures`);
    const { onError, deadLetter } = made.#errors;
    if (onError !== undefined || deadLetter !== undefined)
      throw new PlanError(`${where}: an error handler has no onError or deadLetter of its own`);
    checkHandlerSteps(where, made.#steps);
    return made.#steps;
  }

  /** Steps that need event times go by the records' own timestamps where no `timeBy` says otherwise. */
  #withEventTime(): readonly PlannedStep[] {
    const needing = this.#steps.findIndex(needsEventTime);
    if (needing === -1) return this.#steps;
    const before = this.#steps.slice(0, needing);
    if (before.some((step) => step.kind === "timeBy")) return this.#steps;
    if (!this.#source.timestamps) {
      // A step of one's own may set times; a window in processing time does.
      if (before.some((step) => step.kind === "via" || step.kind === "window")) return this.#steps;
      throw new PlanError(
        `step "${(this.#steps[needing] as PlannedStep).name}": needs event times, and records of a ${this.#source.kind} source have none; put a timeBy before it`,
      );
    }
    const implicit = { ...BARE, ...plannedTime(this.#name("record-time", undefined), recordTime, {}) };
    return [implicit, ...this.#steps];
  }

  #with<U>(step: Pick<PlannedStep, "name" | "kind" | "work"> & Partial<PlannedStep>, onError: unknown): Stream<U> {
    const where = `step "${step.name}"`;
    const policy = errorPolicy(where, onError, (steps) => Stream.handlerSteps(where, `${step.name}.onError.`, steps));
    const planned: PlannedStep = { ...BARE, ...step };
    const described = { ...planned, description: { ...planned.description, onError: describePolicy(policy) }, onError: policy };
    return new Stream<U>(this.#source, [...this.#steps, policy === undefined ? planned : described], this.#errors);
  }

  /** @throws PlanError when a given name is taken or no name */
  #name(method: string, given: string | undefined): string {
    const taken = (name: string) => this.#steps.some((step) => step.name === name);
    if (given !== undefined) {
      if (!/^[\w.:-]+$/.test(given)) throw new PlanError(`a step can't be named ${JSON.stringify(given)}: use letters, digits and . : _ -`);
      if (taken(given)) throw new PlanError(`two steps are named "${given}"; names in a plan are unique`);
      return given;
    }
    const standard = `${this.#errors.prefix ?? ""}${method}`;
    let name = standard;
    for (let number = 2; taken(name); number++) name = `${standard}-${number}`;
    return name;
  }
}

// Not overloads: of those the compiler would show the last one's complaint, and lose the types of the steps after.

/** The options that say what a function gets: `fullEvent` (E) and `passContext` (C). */
interface Flags<E, C> {
  readonly fullEvent?: E | undefined;
  readonly passContext?: C | undefined;
}
/** What a function is given of each event. */
type Given<T, E> = [E] extends [true] ? Event<T> : T;
/** What a function must return. */
type Returned<E> = [E] extends [true] ? Event : unknown;
/** The value that the steps after get of what a function returned. */
type Kept<R, E> = [E] extends [true] ? (R extends Event<infer U> ? U : never) : R;
/** The second argument. */
type Context<C> = [C] extends [true] ? CallContext : undefined;

/** One result for each input, in order: an array, or a typed array of numbers. */
export type Rows<U> = ArrayLike<U>;

/** Also count windows: they tell the times of their events. */
function needsEventTime({ kind, description }: PlannedStep): boolean {
  return kind === "window" ? description["time"] !== "processing" : kind === "deduplicate" && description["within"] !== undefined;
}

/** Also of a source with timestamps not every record may have one, as where `debug` reads a file in its place. */
function recordTime(_value: unknown, event: Event): number {
  if (Number.isNaN(event.time)) throw new TypeError("the record has no time, by which a step after it goes; put a timeBy before it");
  return event.time;
}

/** In the place of a source, for the steps of an error handler. */
const FAILURES: SourceSpec = {
  kind: "failures",
  description: {},
  finite: true,
  timestamps: true,
  partitioned: false,
  open: () => Promise.reject(new Error("failures are no source")),
};

const BARE = { description: {}, stateful: false, side: undefined };

function plannedTime(name: string, fn: EventFunction<unknown, unknown>, options: TimeOptions): PlannedStep {
  const outOfOrderness = milliseconds(options.outOfOrderness ?? 0, `step "${name}": outOfOrderness`);
  const idleAfter = options.idleAfter === undefined ? undefined : positiveMilliseconds(options.idleAfter, `step "${name}": idleAfter`);
  const maxAhead = options.maxAhead === undefined ? undefined : milliseconds(options.maxAhead, `step "${name}": maxAhead`);
  const plan = { name, timeOf: fn, outOfOrderness, maxAhead };
  const work: Work =
    idleAfter === undefined
      ? { type: "transform", make: (run) => timeByTransform(plan, run) }
      : { type: "step", step: timeByStep(plan, idleAfter) };
  const description = { outOfOrderness: options.outOfOrderness ?? "0s", idleAfter: options.idleAfter, maxAhead: options.maxAhead };
  return { ...BARE, name, kind: "timeBy", description, memory: { shape: WATERMARK_SHAPE }, work };
}
