import { MillraceError, ModelError } from "../errors.ts";
import type { ModelIdentity, ModelStats, ObservedVersion } from "../model-stats.ts";
import type { ModelAnswer, ModelCall, ModelRunner, RunnerContext } from "../model.ts";
import { classOf } from "../pipeline/error-class.ts";
import { checkRows } from "../pipeline/infer.ts";
import type { Place } from "./place.ts";

/** The versions of a model: the one that serves, and those that still have calls under way. */
export class Serving implements AsyncDisposable {
  #current: Version;
  readonly #place: Place;
  readonly #context: Omit<RunnerContext, "events">;

  static async load(place: Place, context: Omit<RunnerContext, "events">): Promise<Serving> {
    return new Serving(place, context, await Version.load(place, context));
  }

  private constructor(place: Place, context: Omit<RunnerContext, "events">, first: Version) {
    this.#place = place;
    this.#context = context;
    this.#current = first;
  }

  get identity(): ModelIdentity {
    return this.#current.identity;
  }

  get capacity(): number {
    return this.#current.runner.capacity;
  }

  versions(): readonly ObservedVersion[] {
    return [{ ...this.#current.identity, stats: this.#current.stats }];
  }

  /** Sends joined rows to the version that serves now. */
  async send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    return await this.#current.send(rows, call);
  }

  async reload(): Promise<ModelIdentity> {
    const next = await Version.load(this.#place, this.#context);
    const old = this.#current;
    this.#current = next;
    await old[Symbol.asyncDispose]();
    return next.identity;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#current[Symbol.asyncDispose]();
  }
}

/** One version, loaded. */
class Version implements AsyncDisposable {
  readonly runner: ModelRunner;
  readonly stats: ModelStats;
  readonly #clock: RunnerContext["clock"];

  static async load(place: Place, context: Omit<RunnerContext, "events">): Promise<Version> {
    const stats = noStats();
    const events = { restarted: () => void (stats.restarts += 1) };
    return new Version(await place.load({ ...context, events }), stats, context.clock);
  }

  private constructor(runner: ModelRunner, stats: ModelStats, clock: RunnerContext["clock"]) {
    this.runner = runner;
    this.stats = stats;
    this.#clock = clock;
  }

  get identity(): ModelIdentity {
    return this.runner.identity;
  }

  async send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    const { stats, runner } = this;
    const begin = this.#clock.elapsed();
    stats.calls += 1;
    stats.rows += rows.length;
    stats.inFlight += 1;
    try {
      return { outputs: checkRows(await runner.run(rows, call), rows.length), identity: runner.identity };
    } catch (error) {
      if (call.signal.aborted) throw error;
      const name = classOf(error);
      stats.errors.set(name, (stats.errors.get(name) ?? 0) + 1);
      throw error instanceof MillraceError ? error : new ModelError(runner.identity, error);
    } finally {
      stats.inFlight -= 1;
      stats.predictSeconds += (this.#clock.elapsed() - begin) / 1000;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner[Symbol.asyncDispose]();
  }
}

function noStats(): ModelStats {
  return { calls: 0, rows: 0, inFlight: 0, queued: 0, queueSeconds: 0, predictSeconds: 0, restarts: 0, errors: new Map() };
}
