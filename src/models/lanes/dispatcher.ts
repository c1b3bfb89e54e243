/**
 * Sends calls to lanes: threads or child processes that host modules. What is waiting for a lane goes to it in a few messages of many
 * calls, and what is done comes back in as few. A lane that dies or hangs is replaced, and what it had in flight is given to another.
 *
 * How to use it:
 *
 *     await using dispatcher = new Dispatcher({ program: threadProgram(…), lanes: 2, maxInFlight: 8, clock, logger });
 *     // A model: its `predict` is given the whole input of a call, an array of rows. Calls of one lane follow each other.
 *     await using model = await dispatcher.host({ kind: "rows", url, settings });
 *     const outputs = await model.run(rows, { signal, until: Infinity });
 *     // A function, the module's default export or the one named: called once for each call, as `fn(input, context)`, up to
 *     // `maxInFlight` of them at a time in each lane. The context has `signal`, `logger`, and what the call's `context` has.
 *     await using fn = await dispatcher.host({ kind: "each", url, exportName: "enrich" });
 *     const output = await fn.run(value, { signal, until: clock.elapsed() + 1000, context: { attempt: 2 } });
 *
 * Answers come in any order. Calls beyond `lanes` × `maxInFlight` wait here, without a limit: whoever calls keeps to `capacity`.
 */
import type { Clock } from "../../clock.ts";
import type { Logger } from "../../contracts.ts";
import { InfrastructureError } from "../../errors.ts";
import { FailedOutput } from "../../pipeline/infer.ts";
import { Aborts } from "./aborts.ts";
import type { CalledEntry, LaneCall } from "./call.ts";
import { Call, LaneKilledError, LaneLostError, LaneTimeoutError } from "./call.ts";
import type { EntryEvents } from "./hosted-entry.ts";
import { HostedEntry } from "./hosted-entry.ts";
import type { LaneOwner } from "./lane.ts";
import { Lane } from "./lane.ts";
import { LateCalls } from "./late-calls.ts";
import type { EntrySpec, Otherwise, RepliesMessage } from "./messages.ts";
import { callsPerMessage } from "./messages.ts";
import { asBuffers } from "./packing.ts";
import type { PortableError } from "./portable-error.ts";
import { revived } from "./portable-error.ts";
import type { LaneProgram } from "./program.ts";
import { WaitingCalls } from "./waiting-calls.ts";

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

const DEFAULT_REDELIVER = 1;
const DEFAULT_GRACE = 1000;
const DEFAULT_HANG_AFTER = 60_000;

/** See above. */
export class Dispatcher implements AsyncDisposable, LaneOwner {
  readonly program: LaneProgram;
  readonly logger: Logger;
  readonly random: () => number;
  readonly entries = new Map<number, HostedEntry>();
  /** How many calls are worked on at a time. */
  readonly capacity: number;
  readonly callsPerMessage: number;
  readonly #redeliver: number;
  readonly #lanes: readonly Lane[];
  readonly #waiting: WaitingCalls;
  readonly #late: LateCalls;
  readonly #aborts = new Aborts((signal) => this.#aborted(signal));
  #flushing = false;
  #unanswered = 0;
  #entryNumber = 0;
  #idle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    const { lanes, maxInFlight, redeliver = DEFAULT_REDELIVER, grace = DEFAULT_GRACE, hangAfter = DEFAULT_HANG_AFTER, clock } = options;
    this.program = options.program;
    this.logger = options.logger;
    this.random = options.random ?? Math.random;
    this.capacity = lanes * maxInFlight;
    this.callsPerMessage = callsPerMessage(maxInFlight);
    this.#redeliver = redeliver;
    this.#waiting = new WaitingCalls(maxInFlight);
    this.#lanes = Array.from({ length: lanes }, () => new Lane(this));
    const watched = {
      noun: this.program.noun,
      lanes: this.#lanes,
      unanswered: () => this.#allUnanswered(),
      fail: (call: Call, error: Error) => this.refused(call, error),
    };
    this.#late = new LateCalls(watched, { clock, grace, hangAfter });
  }

  /**
   * Has every lane load a module. Settles when each has it, or can't have it now, and one has it.
   * @throws what its `load` threw or what is wrong with the module; InfrastructureError when a lane ended before one had it
   */
  async host(spec: EntrySpec, events?: EntryEvents): Promise<HostedEntry> {
    const number = ++this.#entryNumber;
    const entry = new HostedEntry({ number, spec, events, capacity: this.capacity, lanes: this.#lanes }, this);
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
  run(entry: CalledEntry, input: unknown, call: LaneCall): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (call.signal.aborted) {
        reject(call.signal.reason as Error);
        return;
      }
      if (this.#closed !== undefined) {
        reject(givenUp());
        return;
      }
      if (this.#late.isLate(call)) {
        reject(new LaneTimeoutError("its time was up before it began"));
        return;
      }
      this.#waiting.add(new Call(entry, input, call, resolve, reject));
      this.#unanswered += 1;
      this.#aborts.watch(call.signal);
      this.#late.expect(call);
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
    this.#waiting.distribute(this.#lanes);
    for (const lane of this.#lanes) {
      lane.flush();
      if (lane.inFlight.size > 0) this.#late.watch(lane);
    }
  }

  /** Every answer goes through here once. @returns false when the call was answered before */
  #settle(call: Call): boolean {
    if (call.answered) return false;
    call.answered = true;
    this.#aborts.unwatch(call.signal);
    if (--this.#unanswered === 0) this.#idle?.();
    return true;
  }

  /** A lane's answers. */
  answered(lane: Lane, message: RepliesMessage): void {
    asBuffers(message[1]);
    for (let at = 2; at < message.length; at += 2) {
      const number = message[at] as number;
      const call = lane.take(Math.abs(number));
      if (call === undefined || !this.#settle(call)) continue;
      if (number > 0) call.resolve(message[at + 1]);
      else answerOtherwise(call, message[at + 1] as Otherwise);
    }
    this.#flushSoon();
  }

  /** A call that fails before a lane answers it. */
  refused(call: Call, error: unknown): void {
    if (this.#settle(call)) call.reject(error);
  }

  /** What was in flight in a lane that died is given to others, or blamed for it. */
  died(lane: Lane, calls: readonly Call[], reason: string): void {
    const again: Call[] = [];
    for (const call of calls) {
      if (call.answered) continue;
      call.deaths += 1;
      if (call.deaths <= this.#redeliver) again.push(call);
      else this.refused(call, this.#lost(call, reason, calls.length));
    }
    this.#waiting.suspect(again);
    for (const entry of this.entries.values()) {
      if (entry.isOpen) entry.without(lane);
      else entry.fail(new InfrastructureError(`the ${this.program.noun} that was to load ${entry.file} ${reason}`));
    }
    if (this.#closed !== undefined) this.#giveUpUnlessServed();
    this.changed(lane);
  }

  #lost(call: Call, reason: string, together: number): Error {
    const { noun } = this.program;
    if (together > 1) return new LaneLostError(`the ${noun} that worked on it ${reason}`);
    if (call.deaths === 1) return new LaneKilledError(`the ${noun} that worked on this input ${reason}`);
    return new LaneKilledError(`the ${noun} that worked on this input ended, ${call.deaths} times; the last one ${reason}`);
  }

  /** What a lane has loaded, or why it can't work, is another. */
  changed(lane: Lane): void {
    for (const entry of this.entries.values()) {
      if (lane.loaded.has(entry.number) || lane.isHeldUp) entry.without(lane);
      this.#tell(entry);
    }
    this.#flushSoon();
  }

  #tell(entry: HostedEntry): void {
    const isReady = this.#lanes.some((lane) => lane.loaded.has(entry.number));
    const reason = this.#lanes.find((lane) => lane.reason !== undefined)?.reason ?? "the model is being loaded";
    entry.tell(isReady ? undefined : `no ${this.program.noun} is ready: ${reason}`);
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

  *#allUnanswered(): Iterable<readonly [Call, Lane | undefined]> {
    for (const call of this.#waiting.unanswered()) yield [call, undefined];
    for (const lane of this.#lanes) for (const call of lane.inFlight.values()) if (!call.answered) yield [call, lane];
  }

  #aborted(signal: AbortSignal): void {
    for (const [call, lane] of this.#allUnanswered()) {
      if (call.signal !== signal) continue;
      lane?.cancel(call);
      this.refused(call, signal.reason);
    }
  }

  /** Waits for calls under way, has the lanes unload what they host, and ends them. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#giveUpUnlessServed();
    if (this.#unanswered > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    this.#late[Symbol.dispose]();
    for (const entry of this.entries.values()) entry.fail(givenUp());
  }

  /** What no lane can take now would wait for one that comes back. */
  #giveUpUnlessServed(): void {
    if (this.#lanes.some((lane) => lane.loaded.size > 0)) return;
    for (const [call] of this.#allUnanswered()) this.refused(call, givenUp());
  }
}

function givenUp(): InfrastructureError {
  return new InfrastructureError("the model is given up");
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
