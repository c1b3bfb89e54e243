import { sleep, systemClock, within } from "../../clock.ts";
import type { Logger } from "../../contracts.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import { backoff } from "../../pipeline/retry.ts";
import type { Call } from "./call.ts";
import { UnsendableError } from "./call.ts";
import type { EntrySpec, FromLane, LoadedEntry } from "./messages.ts";
import type { PortableError } from "./portable-error.ts";
import { portable } from "./portable-error.ts";
import type { LanePort, LaneProgram } from "./program.ts";

/** Who has the lanes, as one of them sees it. */
export interface LaneOwner {
  readonly program: LaneProgram;
  readonly logger: Logger;
  readonly random: () => number;
  /** At the most. */
  readonly callsPerMessage: number;
  /** What each lane loads before it is ready. */
  readonly entries: ReadonlyMap<number, { readonly spec: EntrySpec; loaded(loaded: LoadedEntry): void }>;
  /** Something about it changed: what it has loaded, or why it can't work. */
  changed(lane: Lane): void;
  unloadable(entry: number, error: PortableError): void;
  answered(lane: Lane, message: Extract<FromLane, readonly ["done", ...unknown[]]>): void;
  refused(call: Call, error: unknown): void;
  /** @param calls what it had in flight, also what was answered meanwhile */
  died(lane: Lane, calls: readonly Call[], reason: string): void;
  restarted(): void;
}

/** Seconds before the first restart of a lane, and the longest of them; each is twice the last, less up to a half by chance. */
const FIRST_BACKOFF = 0.1;
const LONGEST_BACKOFF = 10;
/** A lane that lived so long, or answered something, begins with the first back-off again. Milliseconds. */
const STEADY = 10_000;
/** How long a lane may take until it has loaded a model. Milliseconds. */
const LOAD_WITHIN = 600_000;
/** How long a lane gets to unload its models. Milliseconds. */
const END_WITHIN = 5000;

/** A thread or process over its lives: what it has in flight, and how it comes back. */
export class Lane {
  readonly #owner: LaneOwner;
  readonly #end = new AbortController();
  readonly #living: Promise<void>;
  readonly inFlight = new Map<number, Call>();
  /** Calls that go with the next message. */
  readonly outgoing: Call[] = [];
  readonly loaded = new Set<number>();
  /** The call that it works on alone, since its last lane died. */
  exclusive: Call | undefined;
  /** When it last gave a sign of life, by the machine's clock. */
  heardAt = 0;
  /** Whether it can't be expected to work soon: it waits for room, or for its next start. */
  isHeldUp = false;
  /** Why it can't work now; undefined when it can. */
  reason: string | undefined = "it is being started";
  #port: LanePort | undefined;
  #killed: string | undefined;
  #lives = 0;
  #answers = 0;
  #sent = 0;
  #failedLoads = 0;

  constructor(owner: LaneOwner) {
    this.#owner = owner;
    this.#living = this.#live();
  }

  /** What it works on, and is about to be sent. */
  get load(): number {
    return this.inFlight.size + this.outgoing.length;
  }

  /** Has it load an entry, if it is up. */
  host(entry: number, spec: EntrySpec): void {
    try {
      this.#port?.post(["load", entry, spec]);
    } catch (error) {
      const { noun } = this.#owner.program;
      const what = `the settings can't be sent to a ${noun}: ${messageOf(error)}; give plain data`;
      this.#unloadable(entry, portable(new ConfigError([{ where: spec.url, what }])));
    }
  }

  unhost(entry: number): void {
    if (this.loaded.delete(entry)) this.#port?.post(["unload", entry]);
  }

  /** The call of that number, which it has done. */
  take(number: number): Call | undefined {
    const call = this.inFlight.get(number);
    this.inFlight.delete(number);
    if (call !== undefined && this.exclusive === call) this.exclusive = undefined;
    return call;
  }

  cancel(call: Call): void {
    if (this.inFlight.get(call.number) === call) this.#port?.post(["cancel", call.number]);
  }

  /** @param reason words that go on `the thread …` */
  kill(reason: string): void {
    if (this.#port === undefined) return;
    this.#killed ??= reason;
    this.#port.kill();
    // What was sent to it from now on would be taken for a part of its end.
    this.loaded.clear();
    this.reason = reason;
    this.#owner.changed(this);
  }

  /** Sends what is waiting for it. */
  flush(): void {
    const { outgoing } = this;
    if (outgoing.length === 0) return;
    if (this.inFlight.size === 0) this.heardAt = systemClock.elapsed();
    const { callsPerMessage: most } = this.#owner;
    for (let from = 0; from < outgoing.length; from += most) {
      const calls = outgoing.length <= most ? outgoing : outgoing.slice(from, from + most);
      try {
        this.#post(calls);
      } catch (error) {
        this.#postOneByOne(calls, error);
      }
    }
    outgoing.length = 0;
  }

  #post(calls: readonly Call[]): void {
    const first = this.#sent + 1;
    const message: ["calls", number, undefined, ...unknown[]] = ["calls", first, undefined];
    for (const call of calls) {
      if (call.context === undefined) message.push(call.entry, call.input);
      else message.push(-call.entry, call.input, call.context);
    }
    this.#port?.post(message);
    for (const call of calls) {
      call.number = ++this.#sent;
      this.inFlight.set(call.number, call);
    }
  }

  /** Something in them can't be sent: the call that has it is told so. */
  #postOneByOne(calls: readonly Call[], error: unknown): void {
    if (calls.length === 1) {
      const [call] = calls as [Call];
      if (this.exclusive === call) this.exclusive = undefined;
      const { noun } = this.#owner.program;
      this.#owner.refused(call, new UnsendableError(`the input can't be sent to a ${noun}: ${messageOf(error)}; give it plain data`));
      return;
    }
    for (const call of calls) {
      try {
        this.#post([call]);
      } catch (own) {
        this.#postOneByOne([call], own);
      }
    }
  }

  #hear(message: FromLane): void {
    this.heardAt = systemClock.elapsed();
    switch (message[0]) {
      case "done":
        this.#answers += 1;
        this.#owner.answered(this, message);
        break;
      case "up":
        for (const [number, { spec }] of this.#owner.entries) this.host(number, spec);
        break;
      case "loaded":
        this.#loaded(message[1], message[2]);
        break;
      case "unloadable":
        this.#unloadable(message[1], message[2]);
        break;
      case "log":
        this.#owner.logger[message[1]](message[2], message[3]);
        break;
      case "dying":
        this.#killed ??= message[1];
        break;
      case "ended":
        this.#port?.kill();
    }
  }

  #loaded(entry: number, loaded: LoadedEntry): void {
    const hosted = this.#owner.entries.get(entry);
    if (hosted === undefined) {
      // It was given up meanwhile.
      this.#port?.post(["unload", entry]);
      return;
    }
    this.loaded.add(entry);
    this.reason = undefined;
    hosted.loaded(loaded);
    this.#owner.changed(this);
  }

  #unloadable(entry: number, error: PortableError): void {
    this.#owner.unloadable(entry, error);
    // One that can't even be opened is given up by that.
    if (!this.#owner.entries.has(entry)) return;
    const reason = `can't load a model: ${"thrown" in error ? messageOf(error.thrown) : error.message}`;
    this.reason ??= reason;
    if (this.loaded.size === 0) {
      this.kill(reason);
      return;
    }
    // Others are served by it: it is not ended for the sake of one that can't be loaded just now.
    this.#failedLoads += 1;
    const wait = this.#backOff(this.#failedLoads);
    void sleep(wait, this.#end.signal).then(
      () => {
        const spec = this.#owner.entries.get(entry)?.spec;
        if (spec !== undefined) this.host(entry, spec);
      },
      () => undefined,
    );
  }

  async #live(): Promise<void> {
    const { signal } = this.#end;
    for (let failures = 0; !signal.aborted;) {
      const begun = systemClock.elapsed();
      this.#answers = 0;
      const reason = await this.#liveOnce();
      if (signal.aborted) break;
      const isSteady = this.#answers > 0 || systemClock.elapsed() - begun >= STEADY;
      // Where a single call may be at fault the next lane need not wait for longer: that call is given up soon.
      if (isSteady) failures = 1;
      else if (this.exclusive === undefined || failures === 0) failures += 1;
      this.reason = reason;
      const wait = this.#backOff(failures);
      this.#owner.logger.warn({ wait: Math.round(wait) }, `a ${this.#owner.program.noun} for models ${reason}; another takes its place`);
      const calls = [...this.inFlight.values()];
      this.inFlight.clear();
      this.exclusive = undefined;
      this.isHeldUp = true;
      this.#owner.died(this, calls, reason);
      await sleep(wait, signal).catch(() => undefined);
      if (!signal.aborted) this.#owner.restarted();
    }
  }

  /** @returns why it ended */
  async #liveOnce(): Promise<string> {
    const life = ++this.#lives;
    this.#killed = undefined;
    this.#failedLoads = 0;
    try {
      const waiting = (reason: string | undefined) => {
        this.isHeldUp = reason !== undefined;
        this.reason = reason ?? "it is being started";
        this.#owner.changed(this);
      };
      // What one that has ended said before may come later.
      const message = (given: FromLane) => {
        if (life === this.#lives) this.#hear(given);
      };
      this.#port = await this.#owner.program.start({ message, waiting }, this.#end.signal);
      this.isHeldUp = false;
      using _limit = this.#limitLoading();
      const reason = await this.#port.gone;
      return this.#killed ?? reason;
    } catch (error) {
      return `could not be started: ${messageOf(error)}`;
    } finally {
      this.#lives += 1;
      this.#port = undefined;
      this.loaded.clear();
    }
  }

  /** Also a model's `load` may hang. */
  #limitLoading(): Disposable {
    const cancel = systemClock.after(LOAD_WITHIN, () => {
      if (this.loaded.size === 0 && this.#owner.entries.size > 0) this.kill(`did not load its models within ${LOAD_WITHIN / 1000} s`);
    });
    return { [Symbol.dispose]: cancel };
  }

  #backOff(failures: number): number {
    const seconds = Math.min(LONGEST_BACKOFF, backoff(FIRST_BACKOFF, failures));
    return seconds * 1000 * (1 - this.#owner.random() / 2);
  }

  /** Has it unload its models and end, and ends it when it does not. */
  async close(): Promise<void> {
    this.#end.abort();
    try {
      this.#port?.post(["end"]);
    } catch {
      this.#port?.kill();
    }
    if (await within(this.#living, END_WITHIN)) return;
    this.#port?.kill();
    await this.#living;
  }
}
