/**
 * Sends calls to lanes: threads or child processes that host modules. What is waiting for a lane goes to it in one message, and what
 * is done comes back in one. A lane that dies or hangs is replaced, and what it had in flight is given to another.
 *
 * How to use it:
 *
 *     await using dispatcher = new Dispatcher({ program: threadProgram(…), lanes: 2, maxInFlight: 8, clock, logger });
 *     // A model: its `predict` is given the whole input of a call, an array of rows. Calls of one lane follow each other.
 *     await using model = await dispatcher.host({ kind: "rows", url, settings });
 *     const outputs = await model.run(rows, { signal, until: Infinity });
 *     // A function, the module's default export or the one named: called once for each call, as `fn(input, context)`, up to
 *     // `maxInFlight` of them at a time in each lane. The context has `signal`, and what the call's `context` has.
 *     await using fn = await dispatcher.host({ kind: "each", url, exportName: "enrich" });
 *     const output = await fn.run(value, { signal, until: clock.elapsed() + 1000, context: { attempt: 2 } });
 *
 * Answers come in any order. Calls beyond `lanes` × `maxInFlight` wait here, without a limit: whoever calls keeps to `capacity`.
 */
import type { Clock } from "../../clock.ts";
import { systemClock } from "../../clock.ts";
import type { Logger } from "../../contracts.ts";
import { InfrastructureError } from "../../errors.ts";
import { FailedOutput } from "../../pipeline/infer.ts";
import { Aborts } from "./aborts.ts";
import { Alarm } from "./alarm.ts";
import type { LaneCall } from "./call.ts";
import { Call, LaneKilledError, LaneLostError, LaneTimeoutError } from "./call.ts";
import { HostedEntry } from "./hosted-entry.ts";
import type { LaneOwner } from "./lane.ts";
import { Lane } from "./lane.ts";
import type { EntrySpec, LoadedEntry, Otherwise, RepliesMessage } from "./messages.ts";
import { asBuffers } from "./packing.ts";
import type { PortableError } from "./portable-error.ts";
import { revived } from "./portable-error.ts";
import type { LaneProgram } from "./program.ts";

/** How lanes are used. */
export interface DispatcherOptions {
  readonly program: LaneProgram;
  /** How many there are, 1 or more. */
  readonly lanes: number;
  /** Calls in one lane at a time. */
  readonly maxInFlight: number;
  /** How often a call is given to another lane since its own died; default 1. */
  readonly redeliver?: number | undefined;
  /** How long a lane may go on with a call whose time is up before it counts as hanging, in milliseconds; default 1000. */
  readonly grace?: number | undefined;
  /** How long a lane with calls in flight may be silent before it counts as hanging, in milliseconds; default 60,000. */
  readonly hangAfter?: number | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Chance, from 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined;
}

/** Told of what happens to the lanes of an entry. */
export interface EntryEvents {
  /** Why no lane can answer it; undefined when one can again. */
  waiting(reason: string | undefined): void;
  /** A lane is started again. */
  restarted(): void;
}

const DEFAULT_REDELIVER = 1;
const DEFAULT_GRACE = 1000;
const DEFAULT_HANG_AFTER = 60_000;

/** See above. */
export class Dispatcher implements AsyncDisposable, LaneOwner {
  readonly program: LaneProgram;
  readonly logger: Logger;
  readonly random: () => number;
  readonly entries = new Map<number, HostedEntry>();
  readonly capacity: number;
  readonly #options: DispatcherOptions;
  readonly #lanes: readonly Lane[];
  readonly #aborts = new Aborts((signal) => this.#aborted(signal));
  readonly #deadlines: Alarm;
  /** Threads and processes live in the machine's time, whatever clock a pipeline has. */
  readonly #hangs = new Alarm(systemClock, () => this.#lookForHanging());
  #queue: Call[] = [];
  /** Calls whose lane died: each is tried alone, so that no other is blamed for its end. */
  #suspects: Call[] = [];
  #flushing = false;
  #pending = 0;
  #entryNumber = 0;
  #idle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.program = options.program;
    this.logger = options.logger;
    this.random = options.random ?? Math.random;
    this.capacity = options.lanes * options.maxInFlight;
    this.#deadlines = new Alarm(options.clock, () => this.#lookForLate());
    this.#lanes = Array.from({ length: options.lanes }, () => new Lane(this));
  }

  /**
   * Has every lane load a module. Settles when one of them has it.
   * @throws what its `load` threw or what is wrong with the module; InfrastructureError when the lane ended meanwhile
   */
  async host(spec: EntrySpec, events?: EntryEvents): Promise<HostedEntry> {
    const number = ++this.#entryNumber;
    const entry = new HostedEntry({ number, spec, events, capacity: this.capacity }, this);
    this.entries.set(number, entry);
    for (const lane of this.#lanes) lane.host(number, spec);
    this.#tell(entry);
    try {
      await entry.opening;
    } catch (error) {
      this.unhost(number);
      throw error;
    }
    return entry;
  }

  /** Gives a module up. */
  unhost(number: number): void {
    this.entries.delete(number);
    for (const lane of this.#lanes) lane.unhost(number);
  }

  /** See HostedEntry. */
  run(entry: number, input: unknown, call: LaneCall): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (call.signal.aborted) {
        reject(call.signal.reason as Error);
        return;
      }
      if (this.#closed !== undefined) {
        reject(new InfrastructureError("the model is given up"));
        return;
      }
      this.#queue.push(new Call(entry, input, call, resolve, reject));
      this.#pending += 1;
      this.#aborts.watch(call.signal);
      if (call.until !== Number.POSITIVE_INFINITY) this.#deadlines.at(call.until);
      this.#flushSoon();
    });
  }

  /** Calls that come in the same turn of the event loop go in one message. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const reserved = this.#sendSuspect();
    const queue = this.#queue;
    let kept = 0;
    for (let index = 0; index < queue.length; index++) {
      const call = queue[index] as Call;
      if (call.answered) continue;
      const lane = this.#leastLoaded(call.entry, reserved);
      if (lane === undefined) queue[kept++] = call;
      else lane.outgoing.push(call);
    }
    queue.length = kept;
    for (const lane of this.#lanes) {
      lane.flush();
      if (lane.inFlight.size > 0) this.#hangs.at(lane.heardAt + (this.#options.hangAfter ?? DEFAULT_HANG_AFTER));
    }
  }

  /** While there are suspects, one lane is kept for them. @returns that lane */
  #sendSuspect(): Lane | undefined {
    if (this.#suspects.length === 0) return undefined;
    this.#suspects = this.#suspects.filter((call) => !call.answered);
    const [suspect] = this.#suspects;
    if (suspect === undefined) return undefined;
    let least: Lane | undefined;
    for (const lane of this.#lanes) {
      if (lane.loaded.has(suspect.entry) && (least === undefined || lane.load < least.load)) least = lane;
    }
    if (least?.load === 0) {
      this.#suspects.shift();
      least.exclusive = suspect;
      least.outgoing.push(suspect);
    }
    return least;
  }

  #leastLoaded(entry: number, reserved: Lane | undefined): Lane | undefined {
    let least: Lane | undefined;
    let load = this.#options.maxInFlight;
    for (const lane of this.#lanes) {
      if (lane.load >= load || lane === reserved || lane.exclusive !== undefined || !lane.loaded.has(entry)) continue;
      least = lane;
      load = lane.load;
    }
    return least;
  }

  /** Every answer goes through here once. @returns false when the call was answered before */
  #settle(call: Call): boolean {
    if (call.answered) return false;
    call.answered = true;
    this.#aborts.unwatch(call.signal);
    if (--this.#pending === 0) this.#idle?.();
    return true;
  }

  /** A lane's answers. */
  answered(lane: Lane, message: RepliesMessage): void {
    asBuffers(message[1]);
    for (let at = 2; at < message.length; at += 2) {
      const number = message[at] as number;
      const call = lane.inFlight.get(Math.abs(number));
      if (call === undefined) continue;
      lane.inFlight.delete(call.number);
      if (lane.exclusive === call) lane.exclusive = undefined;
      if (!this.#settle(call)) continue;
      if (number > 0) call.resolve(message[at + 1]);
      else answerOtherwise(call, message[at + 1] as Otherwise);
    }
    this.#flushSoon();
  }

  /** A call that could not be sent. */
  refused(call: Call, error: unknown): void {
    if (this.#settle(call)) call.reject(error);
  }

  /** What was in flight in a lane that died is given to others, or blamed for it. */
  died(lane: Lane, reason: string): void {
    const { redeliver = DEFAULT_REDELIVER } = this.#options;
    const wasAlone = lane.inFlight.size === 1;
    const again: Call[] = [];
    for (const call of lane.inFlight.values()) {
      if (call.answered) continue;
      call.deaths += 1;
      if (call.deaths <= redeliver) again.push(call);
      else if (this.#settle(call)) call.reject(this.#lost(call, reason, wasAlone));
    }
    lane.inFlight.clear();
    lane.exclusive = undefined;
    this.#suspects.unshift(...again);
    for (const entry of this.entries.values()) {
      entry.fail(new InfrastructureError(`the ${this.program.noun} that was to load the model ${reason}`));
    }
    this.#flushSoon();
  }

  #lost(call: Call, reason: string, wasAlone: boolean): Error {
    const { noun } = this.program;
    if (!wasAlone) return new LaneLostError(`the ${noun} that worked on it ${reason}`);
    const times = call.deaths === 1 ? "once" : `${call.deaths} times`;
    return new LaneKilledError(`the ${noun} that worked on this input ended, ${times}; the last one ${reason}`);
  }

  changed(): void {
    for (const entry of this.entries.values()) this.#tell(entry);
    this.#flushSoon();
  }

  #tell(entry: HostedEntry): void {
    const isReady = this.#lanes.some((lane) => lane.loaded.has(entry.number));
    const reason = this.#lanes.find((lane) => lane.reason !== undefined)?.reason ?? "the model is being loaded";
    entry.tell(isReady ? undefined : `no ${this.program.noun} is ready: ${reason}`);
  }

  loaded(entry: number, loaded: LoadedEntry): void {
    this.entries.get(entry)?.loaded(loaded);
  }

  unloadable(number: number, error: PortableError): void {
    const entry = this.entries.get(number);
    if (entry === undefined || entry.isOpen) return;
    entry.fail(revived(error));
    // At once, so that no lane is taken for broken that has nothing else to load.
    this.unhost(number);
  }

  restarted(): void {
    for (const entry of this.entries.values()) entry.restarted();
  }

  *#unanswered(): Iterable<readonly [Call, Lane | undefined]> {
    for (const call of [...this.#queue, ...this.#suspects]) if (!call.answered) yield [call, undefined];
    for (const lane of this.#lanes) for (const call of lane.inFlight.values()) if (!call.answered) yield [call, lane];
  }

  #aborted(signal: AbortSignal): void {
    for (const [call, lane] of this.#unanswered()) {
      if (call.signal !== signal || !this.#settle(call)) continue;
      lane?.cancel(call);
      call.reject(signal.reason);
    }
  }

  #lookForLate(): void {
    const now = this.#options.clock.elapsed();
    for (const [call, lane] of this.#unanswered()) {
      if (call.until > now) {
        if (call.until !== Number.POSITIVE_INFINITY) this.#deadlines.at(call.until);
        continue;
      }
      if (!this.#settle(call)) continue;
      call.hangsAt = systemClock.elapsed() + (this.#options.grace ?? DEFAULT_GRACE);
      if (lane !== undefined) {
        lane.cancel(call);
        this.#hangs.at(call.hangsAt);
      }
      const where =
        lane === undefined ? `no ${this.program.noun} was free for it in time` : `its ${this.program.noun} gave no answer in time`;
      call.reject(new LaneTimeoutError(where));
    }
  }

  #lookForHanging(): void {
    const now = systemClock.elapsed();
    const { hangAfter = DEFAULT_HANG_AFTER } = this.#options;
    for (const lane of this.#lanes) {
      if (lane.inFlight.size === 0) continue;
      const silent = lane.heardAt + hangAfter;
      let next = silent;
      for (const { hangsAt } of lane.inFlight.values()) next = Math.min(next, hangsAt);
      if (next > now) this.#hangs.at(next);
      else lane.kill(silent <= now ? `was silent for ${hangAfter} ms` : "did not come back from a call whose time was up");
    }
  }

  /** Waits for calls under way, has the lanes unload what they host, and ends them. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    // What no lane could take by now would wait for one that comes back.
    if (!this.#lanes.some((lane) => lane.loaded.size > 0)) this.#giveUp();
    if (this.#pending > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    this.#deadlines[Symbol.dispose]();
    this.#hangs[Symbol.dispose]();
    for (const entry of this.entries.values()) entry.fail(new InfrastructureError("the model is given up"));
  }

  #giveUp(): void {
    for (const [call] of this.#unanswered()) if (this.#settle(call)) call.reject(new InfrastructureError("the model is given up"));
  }
}

function answerOtherwise(call: Call, otherwise: Otherwise): void {
  if (otherwise[0] === "threw") {
    call.reject(revived(otherwise[1]));
    return;
  }
  const [, outputs, ...failed] = otherwise;
  for (let at = 0; at < failed.length; at += 2) {
    (outputs as unknown[])[failed[at] as number] = new FailedOutput(revived(failed[at + 1] as PortableError));
  }
  call.resolve(outputs);
}
