import type { CheckpointSettings } from "../checkpoint-settings.ts";
import { openCheckpointStore } from "../checkpoints/open.ts";
import { systemClock } from "../clock.ts";
import type { Connections } from "../connections.ts";
import type { Counters, Logger, OpenContext, SharedResources, TaskIdentity } from "../contracts.ts";
import { InfrastructureError, messageOf, MillraceError, NotReadyError, PlannedStop } from "../errors.ts";
import type { ModelRegistry, ModelSettings } from "../model-stats.ts";
import { COUNTED } from "../pipeline/counters.ts";
import { FloodError } from "../pipeline/flood-breaker.ts";
import { createInstance, type Instance } from "../pipeline/instance.ts";
import type { Plan } from "../pipeline/plan.ts";
import type { CheckpointOptions } from "../pipeline/state/checkpoints.ts";
import { keepsCheckpoints } from "../pipeline/state/open-checkpoints.ts";
import { redact } from "../secrets.ts";
import { buildPlan, loadProduct } from "../tasks/products.ts";
import type { CallTracer } from "../tracing.ts";
import { executeFor } from "./last-words.ts";
import type { Assignment, RunEnd, RunStats } from "./messages.ts";
import { tellingWhenItWorks } from "./told-plan.ts";

/** What all runs of a worker share. */
export interface RunSurroundings {
  readonly connections: Connections;
  readonly checkpoint: CheckpointSettings;
  /** What becomes of saved state that does not fit its pipeline any more. */
  readonly misfit: "refuse" | "reset";
  readonly modelSettings: ModelSettings;
  readonly models: ModelRegistry;
  readonly tracer: CallTracer | undefined;
  /** What relative paths of files count from. */
  readonly directory: string;
  readonly shared: SharedResources;
  readonly logger: Logger;
}

/** What a run tells of itself while it goes on. */
export interface RunListener {
  built(finite: boolean): void;
  running(): void;
  waiting(reason: string | undefined): void;
}

/** The process's store of checkpoints, leased. */
interface OpenStore extends AsyncDisposable {
  readonly options: CheckpointOptions;
}

/** One attempt to run an instance of a task: from importing its product to the end of its pipeline. */
export class Run {
  readonly #assignment: Assignment;
  readonly #surroundings: RunSurroundings;
  readonly #listener: RunListener;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  readonly #abandon = new AbortController();
  #instance: Instance | undefined;
  #told: RunStats | undefined;

  constructor(assignment: Assignment, surroundings: RunSurroundings, listener: RunListener) {
    this.#assignment = assignment;
    this.#surroundings = surroundings;
    this.#listener = listener;
    const { task, instance } = assignment;
    this.#logger = surroundings.logger.child(task.instances > 1 ? { task: task.id, instance } : { task: task.id });
  }

  /** Runs it to its end. To be called once; never rejects. */
  async start(): Promise<RunEnd> {
    try {
      const how = await executeFor(this.#assignment.task.id, () => this.#run());
      return { how };
    } catch (error) {
      return this.#endOf(error);
    } finally {
      this.#abandon.abort(new PlannedStop("the instance has ended"));
    }
  }

  /** Stops reading, finishes what was read, commits. */
  stop(): void {
    this.#stop.abort(new PlannedStop("the instance is to stop"));
  }

  /** Gives up what is in flight. */
  abandon(): void {
    this.stop();
    this.#abandon.abort(new PlannedStop("the work in flight is given up"));
  }

  /** What it has counted; undefined before the plan was built. */
  stats(): RunStats | undefined {
    const instance = this.#instance;
    return instance === undefined ? undefined : statsOf(instance, instance.lag());
  }

  /** The same, but undefined also when nothing has changed since the last call: most of many tasks are idle. */
  news(): RunStats | undefined {
    const instance = this.#instance;
    if (instance === undefined) return undefined;
    const lag = instance.lag();
    if (this.#told !== undefined && sameCounts(instance.counters, this.#told) && lag === this.#told.lag) return undefined;
    this.#told = statsOf(instance, lag);
    return this.#told;
  }

  async #run(): Promise<"finished" | "stopped"> {
    const { task, instance } = this.#assignment;
    const identity: TaskIdentity = { id: task.id, product: task.product, instance, instances: task.instances };
    const product = await loadProduct(task.folder);
    const plan = buildPlan(product, task, { task: identity, logger: this.#logger, signal: this.#abandon.signal });
    this.#listener.built(plan.source.finite);
    let waitsFor: string | undefined;
    const context: OpenContext = {
      task: identity,
      connections: this.#surroundings.connections,
      directory: this.#surroundings.directory,
      shared: this.#surroundings.shared,
      logger: this.#logger,
      clock: systemClock,
      signal: this.#abandon.signal,
      mode: "run",
      modelSettings: this.#surroundings.modelSettings,
      models: this.#surroundings.models,
      tracer: this.#surroundings.tracer,
      hide: (text) => this.#shown(text),
      waiting: (reason) => {
        waitsFor = reason === undefined ? undefined : this.#shown(reason);
        this.#listener.waiting(waitsFor);
      },
    };
    const works = () => {
      this.#listener.running();
      // It is open, and waits for a broker all the same.
      if (waitsFor !== undefined) this.#listener.waiting(waitsFor);
    };
    await using store = await this.#openStore(plan, context);
    this.#instance = createInstance(tellingWhenItWorks(plan, works), context, { checkpoints: store?.options });
    return await this.#instance.run(this.#stop.signal);
  }

  /** Pipelines without state need no store. */
  async #openStore(plan: Plan, context: OpenContext): Promise<OpenStore | undefined> {
    if (!keepsCheckpoints(plan)) return undefined;
    const { checkpoint, misfit } = this.#surroundings;
    const lease = await openCheckpointStore(checkpoint.store, context);
    return {
      options: { store: lease.resource, interval: checkpoint.interval, misfit },
      [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose](),
    };
  }

  #endOf(error: unknown): RunEnd {
    if (error instanceof PlannedStop) return { how: "stopped" };
    const reason = this.#shown(messageOf(error));
    if (error instanceof NotReadyError) return { how: "failed", kind: "not-ready", reason };
    if (error instanceof InfrastructureError) return { how: "failed", kind: "infrastructure", reason };
    if (error instanceof FloodError) return { how: "failed", kind: "paused", reason };
    const final = error instanceof MillraceError;
    // Whatever else was thrown may pass, as a lost connection does: it is tried again, a few times.
    return { how: "failed", kind: final || this.#instance === undefined ? "final" : "unknown", reason };
  }

  #shown(text: string): string {
    return redact(text, this.#assignment.task.secrets);
  }
}

function statsOf(instance: Instance, lag: number | undefined): RunStats {
  const { counters, latency } = instance;
  return { ...counters, lag, latency: { counts: Array.from(latency.counts), sum: latency.sum } };
}

function sameCounts(a: Counters, b: Counters): boolean {
  return a.inFlight === b.inFlight && COUNTED.every((name) => a[name] === b[name]);
}
