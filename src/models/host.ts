import type { Lease, OpenContext } from "../contracts.ts";
import { InfrastructureError } from "../errors.ts";
import { DEFAULT_MODEL_SETTINGS } from "../model-stats.ts";
import type { CallerOptions, ModelCaller, ModelOptions, OpenModel, RunnerContext } from "../model.ts";
import { Batcher } from "./batcher.ts";
import type { Place } from "./place.ts";
import { Serving } from "./serving.ts";

/**
 * Opens a model for a step. All that open the same one in this process lease one host: it loads the model once, joins their
 * calls, and ends with the last of them.
 */
export async function openHost(place: Place, context: OpenContext, options: ModelOptions): Promise<OpenModel> {
  const lease = await context.shared.lease(`model ${place.kind} ${place.key}`, () => ModelHost.load(place, context));
  return new Opened(lease, context, options);
}

/** One copy of a model in this process, whoever asks it. */
class ModelHost implements AsyncDisposable {
  readonly serving: Serving;
  readonly batcher: Batcher;
  readonly #listeners: Set<(reason: string | undefined) => void>;
  readonly #unloaded: AbortController;
  readonly #forget: (() => void) | undefined;
  #waits: string | undefined;

  static async load(place: Place, opened: OpenContext): Promise<ModelHost> {
    const unloaded = new AbortController();
    const listeners = new Set([(reason: string | undefined) => opened.waiting(reason)]);
    let host: ModelHost | undefined;
    // What its first task has goes with it: a copy outlives that task.
    const context: Omit<RunnerContext, "events"> = {
      shared: opened.shared,
      logger: opened.logger,
      clock: opened.clock,
      directory: opened.directory,
      random: opened.random,
      hide: opened.hide,
      mode: opened.mode,
      tracer: opened.tracer,
      settings: opened.modelSettings ?? DEFAULT_MODEL_SETTINGS,
      signal: unloaded.signal,
      waiting: (reason) => {
        if (host !== undefined) host.#waits = reason;
        for (const listener of listeners) listener(reason);
      },
    };
    const serving = await loadUnlessGivenUp(place, context, opened, unloaded);
    host = new ModelHost(place, opened, { serving, unloaded, listeners });
    listeners.clear();
    return host;
  }

  private constructor(
    place: Place,
    opened: OpenContext,
    parts: {
      readonly serving: Serving;
      readonly unloaded: AbortController;
      readonly listeners: Set<(reason: string | undefined) => void>;
    },
  ) {
    this.serving = parts.serving;
    this.batcher = new Batcher(this.serving, opened.clock);
    this.serving.replaced = () => this.batcher.replaced();
    this.#unloaded = parts.unloaded;
    this.#listeners = parts.listeners;
    this.#forget = opened.models?.add({
      key: `${place.kind} ${place.key}`,
      kind: place.kind,
      versions: () => this.serving.versions(),
      queued: () => this.batcher.queued,
      waits: () => this.#waits,
      refusal: () => this.serving.refusal,
      reload: () => this.serving.reload(),
    });
  }

  /** Tells whoever opened it why it can't work. @returns to be called when it is closed */
  tell(listener: (reason: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    if (this.#waits !== undefined) listener(this.#waits);
    return () => void this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#forget?.();
    await using _serving = this.serving;
    await this.batcher[Symbol.asyncDispose]();
    this.#unloaded.abort();
  }
}

/**
 * Loads the first version. Whoever opens a model first can be given up meanwhile: then the loading is too, and those that wait for the
 * same copy try again.
 */
async function loadUnlessGivenUp(
  place: Place,
  context: Omit<RunnerContext, "events">,
  opened: OpenContext,
  unloaded: AbortController,
): Promise<Serving> {
  const giveUp = () => unloaded.abort(opened.signal.reason);
  opened.signal.addEventListener("abort", giveUp, { once: true });
  try {
    const serving = await Serving.load(place, context);
    if (!opened.signal.aborted) return serving;
    await serving[Symbol.asyncDispose]();
  } catch (error) {
    if (!opened.signal.aborted) throw error;
  } finally {
    opened.signal.removeEventListener("abort", giveUp);
  }
  throw new InfrastructureError(`the ${place.kind} model was not loaded: task "${opened.task.id}", which opened it first, was given up`);
}

/** A host as one step has it. */
class Opened implements OpenModel {
  readonly #lease: Lease<ModelHost>;
  readonly #options: ModelOptions;
  readonly #untold: () => void;

  constructor(lease: Lease<ModelHost>, context: OpenContext, options: ModelOptions) {
    this.#lease = lease;
    this.#options = options;
    this.#untold = lease.resource.tell((reason) => context.waiting(reason));
  }

  get identity() {
    return this.#lease.resource.serving.identity;
  }

  caller(options: CallerOptions): ModelCaller {
    return this.#lease.resource.batcher.caller(options, this.#options.batching);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#untold();
    await this.#lease[Symbol.asyncDispose]();
  }
}
