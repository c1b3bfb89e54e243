import { resolve } from "node:path";

import { within } from "../clock.ts";
import { InfrastructureError, messageOf, PlannedStop } from "../errors.ts";
import type { ModelIdentity, ModelStats, ObservedVersion } from "../model-stats.ts";
import type { ModelAnswer, ModelCall } from "../model.ts";
import type { Place } from "./place.ts";
import type { Contents } from "./versions/file-contents.ts";
import { contentsOf } from "./versions/file-contents.ts";
import { FileFollower } from "./versions/file-follower.ts";
import type { ServingContext } from "./versions/version.ts";
import { Version, Voice } from "./versions/version.ts";

/** So long a version that another has replaced may take for the calls that it has under way; then the new one does them. Milliseconds. */
const DRAINING = 30_000;
/** And so long to unload, before nobody waits for it any more. Milliseconds. */
const UNLOADING = 10_000;
/** And so long where a stop waits for it. Milliseconds. */
const LAST_UNLOADING = 6000;
/** So long a version may take to load beside the one that serves. Milliseconds. */
const LOADING = 600_000;

/**
 * The versions of a model: the one that serves, and the one before it, as long as it has calls under way. A new one is loaded and
 * warmed up beside the one that serves; from then on it gets each call, whole; the old one finishes what it has and is unloaded.
 */
export class Serving implements AsyncDisposable {
  readonly #place: Place;
  readonly #context: ServingContext;
  readonly #follower: FileFollower | undefined;
  /** Called when another version has begun to serve. */
  replaced: () => void = () => undefined;
  #current: Version;
  #old: Version | undefined;
  #tried: Contents;
  #refusal: string | undefined;
  /** The reload that begins when the one under way is over. */
  #next: Promise<ModelIdentity> | undefined;
  /** Settles when no reload is under way and nothing is left of an old version. */
  #last: Promise<unknown> = Promise.resolve();
  /** Settles when this is disposed of: nothing of an old version is waited for then. */
  readonly #closed = Promise.withResolvers<void>();

  static async load(place: Place, context: ServingContext): Promise<Serving> {
    const tried = await contentsOf(filesOf(place, context));
    return new Serving(place, context, await Version.load(place, context, new Voice(context.waiting)), tried);
  }

  private constructor(place: Place, context: ServingContext, first: Version, tried: Contents) {
    this.#place = place;
    this.#context = context;
    this.#current = first;
    this.#tried = tried;
    const files = filesOf(place, context);
    // A debugger's breakpoints are in the code that was loaded.
    if (files.length > 0 && context.mode === "run")
      this.#follower = new FileFollower(files, { tried: () => this.#tried, reload: () => this.reload() });
  }

  get identity(): ModelIdentity {
    return this.#current.identity;
  }

  get stats(): ModelStats {
    return this.#current.stats;
  }

  /** What an old version still works on takes no room from the one that serves. */
  get capacity(): number {
    return this.#current.runner.capacity + (this.#old?.underWay ?? 0);
  }

  /** Why the newest version could not be loaded, so that an older one goes on; undefined when it could. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  versions(): readonly ObservedVersion[] {
    const versions = this.#old === undefined ? [this.#current] : [this.#current, this.#old];
    return versions.map(({ identity, stats }) => ({ ...identity, stats }));
  }

  /** Sends joined rows to the version that serves now. */
  send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    return this.#current.send(rows, call);
  }

  /**
   * Loads the model anew, and has that answer from then on; settles when it does. One at a time: what asks while one is under
   * way gets another behind it, which sees what has changed meanwhile.
   */
  reload(): Promise<ModelIdentity> {
    if (this.#next !== undefined) return this.#next;
    const reloading = this.#last.then(() => {
      this.#next = undefined;
      return this.#replace();
    });
    this.#next = reloading.then(({ identity }) => identity);
    this.#next.catch(() => undefined);
    this.#last = reloading.then(
      ({ retired }) => retired,
      () => undefined,
    );
    return this.#next;
  }

  async #replace(): Promise<{ readonly identity: ModelIdentity; readonly retired: Promise<void> }> {
    const { logger, hide, signal } = this.#context;
    signal.throwIfAborted();
    const old = this.#current;
    const before = `${old.identity.name}@${old.identity.version}`;
    let next: Version;
    try {
      this.#tried = await contentsOf(filesOf(this.#place, this.#context), this.#tried);
      next = await this.#loadNext();
    } catch (error) {
      if (signal.aborted || error instanceof PlannedStop) throw error;
      const reason = messageOf(error);
      this.#refusal = hide?.(reason) ?? reason;
      logger.error({ model: before, reason: this.#refusal }, "a new version of a model can't be loaded: the one that serves goes on");
      throw error;
    }
    this.#refusal = undefined;
    this.#current = next;
    this.#old = old;
    old.voice.mute();
    next.voice.heardBy(this.#context.waiting);
    const { identity } = next;
    logger.info({ model: `${identity.name}@${identity.version}`, before }, "a model was loaded anew");
    this.replaced();
    return { identity, retired: this.#retire(old, before) };
  }

  /** Loads a version beside the one that serves, which must not wait for it for ever. */
  async #loadNext(): Promise<Version> {
    const late = new AbortController();
    const signal = AbortSignal.any([this.#context.signal, late.signal]);
    const voice = new Voice();
    const loading = Version.load(this.#place, { ...this.#context, signal }, voice);
    let closed = false;
    const closing = this.#closed.promise.then(() => void (closed = true));
    if ((await within(Promise.race([loading, closing]), LOADING, this.#context.clock)) && !closed) return await loading;
    const reason = closed
      ? new PlannedStop("the model is not wanted any more")
      : new InfrastructureError(`it was not loaded within ${LOADING / 1000} s${voice.reason === undefined ? "" : `: ${voice.reason}`}`);
    late.abort(reason);
    loading.then(
      (version) => version[Symbol.asyncDispose](),
      () => undefined,
    );
    throw reason;
  }

  /** Lets an old version finish what it has, and unloads it. */
  async #retire(old: Version, name: string): Promise<void> {
    const { clock, logger } = this.#context;
    if (!(await within(Promise.race([old.drained(), this.#closed.promise]), DRAINING, clock))) {
      logger.warn({ model: name }, `the old version of a model has not answered within ${DRAINING / 1000} s: the new one is asked again`);
      old.giveUp((rows, call) => this.send(rows, call));
    }
    try {
      if (!(await within(old[Symbol.asyncDispose](), UNLOADING, clock)))
        logger.warn({ model: name }, "the old version of a model does not unload: it is left alone");
    } catch (error) {
      logger.warn({ model: name, reason: messageOf(error) }, "the old version of a model failed to unload");
    }
    this.#old = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.resolve();
    await this.#follower?.[Symbol.asyncDispose]();
    await this.#last;
    const { clock, logger } = this.#context;
    if (await within(this.#current[Symbol.asyncDispose](), LAST_UNLOADING, clock)) return;
    const { name, version } = this.identity;
    logger.warn({ model: `${name}@${version}` }, `a model did not unload within ${LAST_UNLOADING / 1000} s: it is left alone`);
  }
}

/** The absolute paths of what is loaded anew when it changes. */
function filesOf({ files = [] }: Place, { directory = "." }: ServingContext): readonly string[] {
  return files.map((file) => resolve(directory, file));
}
