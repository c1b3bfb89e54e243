import { Bag } from "../bag.ts";
import type { Clock } from "../clock.ts";
import { InfrastructureError } from "../errors.ts";
import type { ModelIdentity, ModelStats } from "../model-stats.ts";
import { countQueued } from "../model-stats.ts";
import type { Batching, CallerOptions, ModelAnswer, ModelCall, ModelCaller } from "../model.ts";
import { Alarm } from "./alarm.ts";
import { Caller } from "./batching/caller.ts";
import { JoinedCall } from "./batching/joined-call.ts";
import { shapeOfRows } from "./batching/row-shape.ts";
import { ShortestTime } from "./batching/shortest-time.ts";
import { Turns } from "./batching/turns.ts";
import { WaitingCall } from "./batching/waiting-call.ts";
import { Aborts } from "./lanes/aborts.ts";

/** What a batcher sends joined rows to. */
export interface BatchTarget {
  /** How many calls it works on at a time. */
  readonly capacity: number;
  /** What answers now. */
  readonly identity: ModelIdentity;
  /** Where the time that calls waited is counted: of the version that is sent to next. */
  readonly stats: ModelStats;
  send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer>;
}

/**
 * Joins the calls of a model. A call that fills a batch, or that no other can join, goes at once when the model has room and nobody
 * waits; another call goes with those of the same turn of the event loop, such as those of the partitions of one reply of a broker.
 * While the model has no room calls wait, and what waits goes together as soon as it has. With a `maxDelay` a call waits for
 * others also when there is room, unless no other can come.
 */
export class Batcher implements AsyncDisposable {
  readonly #target: BatchTarget;
  readonly #clock: Clock;
  readonly #turns = new Turns();
  readonly #time = new ShortestTime();
  /** Calls that wait, and those that did and are with the model. */
  readonly #unsettled = new Bag<WaitingCall>();
  readonly #aborts = new Aborts((signal) => this.#abort(signal));
  /** When a call that waits for others has waited long enough. */
  readonly #due: Alarm;
  /** When the answer to a call that waits would come too late. */
  readonly #late: Alarm;
  /** Calls of the target. */
  #inFlight = 0;
  /** How many more calls can come from all callers before one is answered. */
  #openings = 0;
  /** Whether a call had a deadline yet: before, nobody asks how long the model takes. */
  #timed = false;
  /** Whether the end of this turn of the event loop is awaited. */
  #pumping = false;
  #closed = false;

  constructor(target: BatchTarget, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
    this.#due = new Alarm(clock, (now) => this.#pump(now));
    this.#late = new Alarm(clock, (now) => this.#refuseLate(now), "deadline");
  }

  caller(options: CallerOptions, batching: Batching): ModelCaller {
    const caller = new Caller(options, batching, {
      ask: (asking, inputs, call) => this.#ask(asking, inputs, call),
      isFull: (asking) => this.#isFull(asking),
      left: (leaving) => this.#leave(leaving),
    });
    this.#turns.join(caller);
    this.#openings += caller.openings;
    return caller;
  }

  /** The target is another from now on: it may have room, and how long it takes is to be seen. */
  replaced(): void {
    this.#time.forget();
    this.#pump(this.#clock.elapsed());
  }

  #leave(caller: Caller): void {
    this.#giveUp([...caller.waiting], `${caller.name} has closed it`);
    this.#openings -= caller.openings;
    this.#turns.leave(caller);
    this.#pump(this.#clock.elapsed());
  }

  #giveUp(calls: readonly WaitingCall[], why: string): void {
    for (const call of calls) {
      this.#turns.remove(call);
      call.reject(new InfrastructureError(`${this.#name}: ${why}`));
    }
  }

  #ask(caller: Caller, inputs: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    if (call.signal.aborted) return Promise.reject(call.signal.reason as Error);
    if (this.#closed) return Promise.reject(new InfrastructureError(`${this.#name}: it is closed`));
    const hasRoom = this.#hasRoom();
    if (call.until < Number.POSITIVE_INFINITY) {
      this.#timed = true;
      const now = this.#clock.elapsed();
      if (call.until <= now || (!hasRoom && this.#isTooLate(call, now))) return Promise.reject(this.#tooLate(call, now));
    }
    this.#began(caller, inputs.length);
    if (hasRoom && this.#turns.size === 0 && (this.#openings === 0 || inputs.length >= caller.batching.maxSize)) {
      return this.#sendAtOnce(caller, inputs, call);
    }
    const { answer } = this.#enqueue(caller, inputs, call, this.#clock.elapsed());
    if (hasRoom) this.#pumpSoon();
    return answer;
  }

  /** When all that is settled by now has had its turn: what follows from the same reply or timer is there then. */
  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    process.nextTick(() => {
      this.#pumping = false;
      this.#pump(this.#clock.elapsed());
    });
  }

  #enqueue(caller: Caller, inputs: readonly unknown[], call: ModelCall, now: number): WaitingCall {
    const waiting = new WaitingCall(caller, inputs, call, now, this.#settled);
    this.#unsettled.add(waiting);
    this.#aborts.watch(call.signal);
    const { maxSize, maxDelay } = caller.batching;
    // What fills a batch by itself is not looked at.
    if (inputs.length < maxSize) waiting.shape = shapeOfRows(inputs);
    // Where it has little time it waits for others for half of what it can spare.
    waiting.due = now + Math.min(maxDelay, Math.max(0, call.until - this.#time.ms - now) / 2);
    this.#turns.add(waiting);
    this.#late.set(call.until - this.#time.ms);
    return waiting;
  }

  #began(caller: Caller, rows: number): void {
    if (caller.openings > 0) this.#openings -= 1;
    caller.began(rows);
  }

  #ended(caller: Caller, rows: number): void {
    caller.ended(rows);
    if (caller.openings > 0) this.#openings += 1;
  }

  /** One call at least, also while nothing is there to take it. */
  get #capacity(): number {
    return Math.max(1, this.#target.capacity);
  }

  #hasRoom(): boolean {
    return this.#inFlight < this.#capacity;
  }

  /**
   * Two full batches of one caller for each call that the model takes at a time keep it busy: more would only wait, hold memory, and be far
   * from the processor's caches when their turn comes.
   */
  #isFull({ rows, batching: { maxSize, maxQueuedRows, maxQueuedBytes } }: Caller): boolean {
    return rows >= 2 * this.#capacity * maxSize || this.#turns.rows >= maxQueuedRows || this.#turns.bytes >= maxQueuedBytes;
  }

  /** Sends what may go while there is room. */
  #pump(now: number): void {
    const ready = (call: WaitingCall) => call.due <= now || this.#openings === 0 || this.#turns.rowsLike(call) >= call.batching.maxSize;
    while (this.#turns.size > 0 && this.#hasRoom()) {
      const calls = this.#turns.take(ready, this.#target.capacity);
      if (calls.length === 0) {
        // eslint-disable-next-line no-loop-func
        this.#due.set(this.#earliest(({ due }) => due));
        return;
      }
      this.#send(calls, now);
    }
    this.#due.clear();
    if (this.#turns.size === 0) this.#late.clear();
  }

  #earliest(timeOf: (call: WaitingCall) => number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const call of this.#turns.calls()) earliest = Math.min(earliest, timeOf(call));
    return earliest;
  }

  #send(calls: readonly WaitingCall[], now: number): void {
    const { stats } = this.#target;
    for (const call of calls) {
      countQueued(stats, Math.max(0, now - call.since) / 1000);
      if (call.call.until <= now) call.reject(this.#tooLate(call.call, now));
    }
    const wanted = calls.filter(({ settled }) => !settled);
    const [first] = wanted;
    if (first !== undefined) void (wanted.length === 1 ? this.#sendOne(first) : this.#sendJoined(wanted));
  }

  /** The common case, kept short: nothing is made for a call that need not wait. */
  async #sendAtOnce(caller: Caller, inputs: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    countQueued(this.#target.stats, 0);
    const begin = this.#timed ? this.#clock.elapsed() : undefined;
    this.#inFlight += 1;
    try {
      const answer = await this.#target.send(inputs, call);
      if (begin !== undefined) this.#time.took(this.#clock.elapsed() - begin);
      return answer;
    } finally {
      this.#inFlight -= 1;
      this.#ended(caller, inputs.length);
      if (this.#turns.size > 0) this.#pump(this.#clock.elapsed());
    }
  }

  async #sendOne(call: WaitingCall): Promise<void> {
    try {
      call.resolve(await this.#deliver(call.inputs, call.call));
    } catch (error) {
      call.reject(error);
    }
    this.#pump(this.#clock.elapsed());
  }

  async #sendJoined(calls: readonly WaitingCall[]): Promise<void> {
    const joined = new JoinedCall(calls);
    for (const call of calls) call.joined = joined;
    try {
      joined.answer(await this.#deliver(joined.rows, joined));
    } catch (error) {
      this.#failed(calls, error);
    }
    this.#pump(this.#clock.elapsed());
  }

  /** Whose fault a failure was is not known where it may be that of a row: each call is tried alone, so that none pays for another. */
  #failed(calls: readonly WaitingCall[], error: unknown): void {
    const now = this.#clock.elapsed();
    for (const call of calls.toReversed()) {
      if (error instanceof InfrastructureError) call.reject(error);
      if (call.settled) continue;
      call.isolate(now);
      this.#turns.putBack(call);
      this.#late.set(call.call.until - this.#time.ms);
    }
  }

  async #deliver(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    const begin = this.#clock.elapsed();
    this.#inFlight += 1;
    try {
      const answer = await this.#target.send(rows, call);
      this.#time.took(this.#clock.elapsed() - begin);
      return answer;
    } finally {
      this.#inFlight -= 1;
    }
  }

  readonly #settled = (call: WaitingCall): void => {
    this.#unsettled.delete(call);
    this.#aborts.unwatch(call.call.signal);
    this.#ended(call.taker, call.inputs.length);
  };

  /** Nobody waits for the calls with this signal any more. */
  #abort(signal: AbortSignal): void {
    for (const call of this.#unsettled.all()) {
      if (call.call.signal !== signal) continue;
      this.#turns.remove(call);
      call.reject(signal.reason);
      call.joined?.abandonIfUnwanted();
    }
    if (this.#turns.size > 0) return;
    this.#due.clear();
    this.#late.clear();
  }

  #isTooLate({ until }: ModelCall, now: number): boolean {
    return until - this.#time.ms <= now;
  }

  #refuseLate(now: number): void {
    for (const call of [...this.#turns.calls()].filter(({ call }) => this.#isTooLate(call, now))) {
      this.#turns.remove(call);
      call.reject(this.#tooLate(call.call, now));
    }
    this.#late.set(this.#earliest(({ call }) => call.until - this.#time.ms));
    this.#pump(now);
  }

  #tooLate({ until }: ModelCall, now: number): InfrastructureError {
    const left = Math.round(until - now);
    const why =
      left > 0 ? `it has ${left} ms left and needs ${Math.round(this.#time.ms)} ms at the least` : "its time was up before its turn came";
    return new InfrastructureError(`${this.#name}: the answer to a call would come too late: ${why}`);
  }

  get #name(): string {
    const { name, version } = this.#target.identity;
    return `model ${name}@${version}`;
  }

  /** Rows that wait for their turn now. */
  get queued(): number {
    return this.#turns.rows;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#giveUp([...this.#turns.calls()], "it is closed");
    this.#due.clear();
    this.#late.clear();
    return Promise.resolve();
  }
}
