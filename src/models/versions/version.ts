import { ConfigError, MillraceError, ModelError, PlannedStop } from "../../errors.ts";
import type { ModelIdentity, ModelStats } from "../../model-stats.ts";
import { countCall, countEnd, countError, noModelStats } from "../../model-stats.ts";
import type { ModelAnswer, ModelCall, ModelRunner, RunnerContext } from "../../model.ts";
import { classOf } from "../../pipeline/error-class.ts";
import { checkRows } from "../../pipeline/infer.ts";
import { isNameable } from "../load-module.ts";
import type { Place } from "../place.ts";

/** What versions are loaded with: what they share. */
export type ServingContext = Omit<RunnerContext, "events">;

/** The version that had a call was given up before it answered: another is to answer it. */
export class VersionGivenUp extends Error {}

/** What a version says of why it can't work now: heard once it serves. */
export class Voice {
  #reason: string | undefined;
  #listener: ((reason: string | undefined) => void) | undefined;

  /** @param listener hears it from the beginning */
  constructor(listener?: (reason: string | undefined) => void) {
    this.#listener = listener;
  }

  get reason(): string | undefined {
    return this.#reason;
  }

  say(reason: string | undefined): void {
    this.#reason = reason;
    this.#listener?.(reason);
  }

  heardBy(listener: (reason: string | undefined) => void): void {
    this.#listener = listener;
    listener(this.#reason);
  }

  mute(): void {
    this.#listener = undefined;
  }
}

/** One version of a model, loaded, with the calls that it has under way. */
export class Version implements AsyncDisposable {
  readonly runner: ModelRunner;
  readonly stats: ModelStats;
  readonly voice: Voice;
  readonly #kind: string;
  readonly #clock: RunnerContext["clock"];
  readonly #tracer: RunnerContext["tracer"];
  readonly #unwanted: AbortController;
  /** Of the calls under way: each is ended by it. */
  readonly #calls = new Set<(reason: VersionGivenUp) => void>();
  #quiet: PromiseWithResolvers<void> | undefined;

  static async load(place: Place, context: ServingContext, voice: Voice): Promise<Version> {
    const stats = noModelStats();
    const unwanted = new AbortController();
    const follow = () => unwanted.abort(context.signal.reason);
    context.signal.addEventListener("abort", follow, { once: true });
    if (context.signal.aborted) follow();
    const events = { restarted: () => void (stats.restarts += 1) };
    const waiting = (reason: string | undefined) => voice.say(reason);
    const runner = await place.load({ ...context, signal: unwanted.signal, waiting, events });
    const { name, version } = runner.identity;
    if (!isNameable(name) || !isNameable(version)) {
      await runner[Symbol.asyncDispose]();
      const what = `its name and version must be text without line breaks (got ${JSON.stringify(name)}, ${JSON.stringify(version)})`;
      throw new ConfigError([{ where: `${place.kind} model`, what }]);
    }
    unwanted.signal.addEventListener("abort", () => context.signal.removeEventListener("abort", follow), { once: true });
    return new Version({ runner, stats, voice }, place.kind, context, unwanted);
  }

  private constructor(
    parts: Pick<Version, "runner" | "stats" | "voice">,
    kind: string,
    context: Pick<RunnerContext, "clock" | "tracer">,
    unwanted: AbortController,
  ) {
    this.runner = parts.runner;
    this.stats = parts.stats;
    this.voice = parts.voice;
    this.#kind = kind;
    this.#clock = context.clock;
    this.#tracer = context.tracer;
    this.#unwanted = unwanted;
  }

  get identity(): ModelIdentity {
    return this.runner.identity;
  }

  /** How many calls it has not answered. */
  get underWay(): number {
    return this.#calls.size;
  }

  /** @throws {VersionGivenUp} when it is given up before it has answered */
  async send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    const { stats, runner } = this;
    const begin = this.#clock.elapsed();
    // Taken before a model in the worker can change the array.
    const count = rows.length;
    countCall(stats, count);
    const span = this.#tracer?.begin({ model: runner.identity, kind: this.#kind, rows: count, call });
    let failure: string | undefined;
    try {
      return { outputs: checkRows(await this.#run(rows, call), count), identity: runner.identity };
    } catch (error) {
      failure = classOf(error);
      if (call.signal.aborted || error instanceof VersionGivenUp) throw error;
      countError(stats, failure);
      throw error instanceof MillraceError ? error : new ModelError(runner.identity, error);
    } finally {
      countEnd(stats, (this.#clock.elapsed() - begin) / 1000);
      span?.end(failure);
    }
  }

  #run(rows: readonly unknown[], call: ModelCall): Promise<ArrayLike<unknown>> {
    return new Promise((resolve, reject) => {
      this.#calls.add(reject);
      const over = () => {
        this.#calls.delete(reject);
        if (this.#calls.size === 0) this.#quiet?.resolve();
      };
      this.runner.run(rows, call).then(
        (outputs) => {
          over();
          resolve(outputs);
        },
        (error: unknown) => {
          over();
          // Whatever ended it, as it was.
          // oxlint-disable-next-line prefer-promise-reject-errors
          reject(error);
        },
      );
    });
  }

  /** Settles when it has no call under way. It must get no more. */
  async drained(): Promise<void> {
    if (this.#calls.size === 0) return;
    this.#quiet ??= Promise.withResolvers();
    await this.#quiet.promise;
  }

  /** Ends the calls that are under way, for another version to answer them. */
  giveUp(): void {
    const reason = new VersionGivenUp();
    for (const end of this.#calls) end(reason);
    this.#calls.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwanted.abort(new PlannedStop("this version of the model is not wanted any more"));
    await this.runner[Symbol.asyncDispose]();
  }
}
