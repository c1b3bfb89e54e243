import type { Counters, OpenContext, Partition, Sink, SinkSpec, Source, SourceOptions, SourceSpec } from "../contracts.ts";
import type { LetterBox } from "../dead-letter.ts";
import { firstThrown, PlanError, PlannedStop } from "../errors.ts";
import type { OpenModel, PlannedModel } from "../model.ts";
import { noCounts } from "./counters.ts";
import { FloodBreaker } from "./flood-breaker.ts";
import { LatencyHistogram } from "./latency.ts";
import { openPlanned } from "./open-models.ts";
import type { PartitionRunOptions } from "./partition-run.ts";
import { runPartition } from "./partition-run.ts";
import { plannedModels, plannedSinks } from "./plan-parts.ts";
import type { Plan } from "./plan.ts";
import { Reasons } from "./reasons.ts";
import type { CheckpointOptions } from "./state/checkpoints.ts";
import { keepsCheckpoints } from "./state/open-checkpoints.ts";

/** The part of a plan that its source is. */
const SOURCE = "source";
/** And the one that its box for dead letters is. */
const DEAD_LETTER = "dead-letter";

/** What all partitions share. */
type OpenParts = Pick<PartitionRunOptions, "sinks" | "models" | "box" | "breaker">;

/** How a run ended without an error: the input had its end, or a stop was asked for and everything read is done. */
export type InstanceEnd = "finished" | "stopped";

/** Options of `createInstance`. */
export interface InstanceOptions {
  /** Opens a source in the place of the plan's. */
  readonly openSource?: (spec: SourceSpec, context: OpenContext, options: SourceOptions) => Promise<Source>;
  /** Opens a sink in the place of one of the plan's; called for each, also for late sinks. */
  readonly openSink?: (spec: SinkSpec, context: OpenContext) => Promise<Sink>;
  /** Where checkpoints are kept; without it a pipeline with state holds its positions back instead. */
  readonly checkpoints?: CheckpointOptions | undefined;
  /** Opens a box for dead letters in the place of the plan's. */
  readonly openLetters?: (spec: SinkSpec, context: OpenContext) => Promise<LetterBox>;
}

/** Makes an instance of a task: its pipeline over each partition that its source is given. Nothing is opened before `run`. */
export function createInstance(plan: Plan, context: OpenContext, options: InstanceOptions = {}): Instance {
  return new Instance(plan, context, options);
}

/** One instance of a task. */
export class Instance {
  readonly #plan: Plan;
  readonly #context: OpenContext;
  readonly #options: InstanceOptions;
  readonly #reasons: Reasons;
  #source: Source | undefined;
  /** Over all partitions; they only rise, but for `inFlight`. */
  readonly counters: Counters = noCounts();
  readonly latency = new LatencyHistogram();

  constructor(plan: Plan, context: OpenContext, options: InstanceOptions) {
    this.#plan = plan;
    this.#context = context;
    this.#options = options;
    this.#reasons = new Reasons((reason) => context.waiting(reason));
  }

  /** How many events wait unread, as far as the source knows. */
  lag(): number | undefined {
    return this.#source?.lag?.();
  }

  /**
   * Opens source and sinks, works until the input ends or `stop` aborts, and closes them. To be called once.
   *
   * After `stop` what was read is finished and committed; when the context's signal aborts, it is given up. Throws what
   * ended the work, after the other partitions have finished what they had read: a DataError, an InfrastructureError
   * (open a new instance later), or whatever a product's own step threw.
   */
  async run(stop: AbortSignal): Promise<InstanceEnd> {
    const { signal } = this.#context;
    signal.throwIfAborted();
    if (stop.aborted) return "stopped";
    try {
      return await this.#run(stop);
    } catch (error) {
      throw firstThrown(error);
    }
  }

  async #run(stop: AbortSignal): Promise<InstanceEnd> {
    await using resources = new AsyncDisposableStack();
    const sinks = new Map<SinkSpec, Sink>();
    const { openSource = openOwnSource, openSink = openOwnSink } = this.#options;
    for (const [index, spec] of [...plannedSinks(this.#plan)].entries()) {
      const sink = await unlessStopped(openSink(spec, this.#contextOf(`sink-${index}`)), stop);
      if (sink === undefined) return "stopped";
      sinks.set(spec, resources.use(sink));
    }
    const models = new Map<PlannedModel, OpenModel>();
    for (const planned of plannedModels(this.#plan)) {
      const model = await unlessStopped(openPlanned(planned, this.#contextOf(`model of ${planned.options.step}`)), stop);
      if (model === undefined) return "stopped";
      models.set(planned, resources.use(model));
    }
    const box = await this.#openBox(stop);
    if (box === "stopped") return "stopped";
    if (box !== undefined) resources.use(box);
    const stateful = this.#plan.steps.some((step) => step.stateful);
    const source = await unlessStopped(openSource(this.#plan.source, this.#contextOf(SOURCE), { stateful }), stop);
    if (source === undefined) return "stopped";
    this.#source = resources.use(source);
    await this.#runPartitions(source, { sinks, models, box, breaker: new FloodBreaker(this.#plan.breaker, this.#context.clock) }, stop);
    this.#context.signal.throwIfAborted();
    return stop.aborted ? "stopped" : "finished";
  }

  async #openBox(stop: AbortSignal): Promise<LetterBox | "stopped" | undefined> {
    const { deadLetter } = this.#plan;
    if (deadLetter === undefined) return undefined;
    const { openLetters = openOwnLetters } = this.#options;
    return (await unlessStopped(openLetters(deadLetter, this.#contextOf(DEAD_LETTER)), stop)) ?? "stopped";
  }

  #contextOf(part: string): OpenContext {
    return { ...this.#context, part, waiting: (reason) => this.#reasons.set(part, reason) };
  }

  async #runPartitions(source: Source, open: OpenParts, stop: AbortSignal): Promise<void> {
    const failure = new FirstFailure();
    const stopAll = AbortSignal.any([stop, failure.signal, this.#context.signal]);
    const running = new Set<Promise<void>>();
    try {
      for await (const partition of source.partitions(stopAll)) {
        const run = this.#runOne(partition, open, failure, stopAll).finally(() => running.delete(run));
        running.add(run);
      }
    } catch (error) {
      failure.add(error);
    }
    await Promise.all(running);
    failure.throwIfAny();
  }

  async #runOne(partition: Partition, open: OpenParts, failure: FirstFailure, stop: AbortSignal): Promise<void> {
    try {
      await runPartition(partition, {
        plan: this.#plan,
        context: this.#context,
        ...open,
        counters: this.counters,
        latency: this.latency,
        isSourceAway: () => this.#reasons.has(SOURCE),
        checkpoints: keepsCheckpoints(this.#plan) ? this.#options.checkpoints : undefined,
        checkpointsWait: (name, reason) => this.#reasons.set(`checkpoints of ${name}`, reason),
        stop,
        abandon: this.#context.signal,
      });
    } catch (error) {
      failure.add(error);
    }
  }
}

const openOwnSource: NonNullable<InstanceOptions["openSource"]> = (spec, context, options) => spec.open(context, options);
const openOwnLetters: NonNullable<InstanceOptions["openLetters"]> = (spec, context) => {
  if (spec.openLetters === undefined) throw new PlanError(`a ${spec.kind} sink can't keep dead letters`);
  return spec.openLetters(context);
};
const openOwnSink: NonNullable<InstanceOptions["openSink"]> = (spec, context) => spec.open(context);

/** What was opened; undefined when the stop came first: it is then closed as soon as it is open, and nobody waits for that. */
async function unlessStopped<R extends AsyncDisposable>(opening: Promise<R>, stop: AbortSignal): Promise<R | undefined> {
  const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
  const onStop = () => resolve(undefined);
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    const opened = await Promise.race([opening, stopped]);
    if (opened === undefined) {
      opening.then(
        (late) => late[Symbol.asyncDispose](),
        () => undefined,
      );
    }
    return opened;
  } finally {
    stop.removeEventListener("abort", onStop);
  }
}

/** Keeps the first error and asks the others to stop in an orderly way. */
class FirstFailure {
  readonly #controller = new AbortController();
  #error: { readonly thrown: unknown } | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  add(thrown: unknown): void {
    this.#error ??= { thrown };
    this.#controller.abort(new PlannedStop("another partition of the task failed"));
  }

  throwIfAny(): void {
    if (this.#error !== undefined) throw this.#error.thrown;
  }
}
