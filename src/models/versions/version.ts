import { Bag, type InBag } from "../../bag.ts";
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

/** Has rows answered by a version. */
export type Send = (rows: readonly unknown[], call: ModelCall) => Promise<ModelAnswer>;

/** A call that is under way. */
interface UnderWay extends InBag {
  /** Gives it to another version. */
  readonly giveUp: (another: Send) => void;
}

/** How traces tell of a call that was given to another version. */
const GIVEN_UP = "VersionGivenUp";

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
  /** One for each call under way. */
  readonly #calls = new Bag<UnderWay>();
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

  send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    const { stats, runner } = this;
    const begin = this.#clock.elapsed();
    // Taken before a model in the worker can change the array.
    const count = rows.length;
    countCall(stats, count);
    const span = this.#tracer?.begin({ model: runner.identity, kind: this.#kind, rows: count, call });
    // One promise, settled from inside: each that is put around it costs a small call more than its counting does.
    return new Promise((resolve, reject) => {
      const over = (failure: string | undefined) => {
        this.#calls.delete(underWay);
        if (this.#calls.size === 0) this.#quiet?.resolve();
        countEnd(stats, (this.#clock.elapsed() - begin) / 1000);
        span?.end(failure);
      };
      const underWay: UnderWay = {
        slot: 0,
        giveUp: (another) => {
          over(GIVEN_UP);
          if (call.signal.aborted) reject(call.signal.reason as Error);
          else resolve(another(rows, call));
        },
      };
      const failed = (error: unknown) => {
        if (!this.#calls.has(underWay)) return;
        const failure = classOf(error);
        over(failure);
        if (!call.signal.aborted) countError(stats, failure);
        // What ended a call that was given up goes on as it was.
        reject(call.signal.aborted || error instanceof MillraceError ? (error as Error) : new ModelError(runner.identity, error));
      };
      const answered = (outputs: ArrayLike<unknown>) => {
        if (!this.#calls.has(underWay)) return;
        try {
          checkRows(outputs, count);
        } catch (error) {
          failed(error);
          return;
        }
        over(undefined);
        resolve({ outputs, identity: runner.identity });
      };
      this.#calls.add(underWay);
      try {
        runner.run(rows, call).then(answered, failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  /** Settles when it has no call under way. It must get no more. */
  async drained(): Promise<void> {
    if (this.#calls.size === 0) return;
    this.#quiet ??= Promise.withResolvers();
    await this.#quiet.promise;
  }

  /** Gives the calls that are under way to another version. Whatever this one answers yet is not heard. */
  giveUp(another: Send): void {
    for (const { giveUp } of this.#calls.all()) giveUp(another);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwanted.abort(new PlannedStop("this version of the model is not wanted any more"));
    await this.runner[Symbol.asyncDispose]();
  }
}
