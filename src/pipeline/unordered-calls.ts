/**
 * Calls whose results go on as they are done. What a later step goes by keeps its meaning: the position and the watermark pass an event
 * only when it and all before it are done, and a barrier passes behind all that came before it and before all that comes after it.
 */
import type { Batch, Event, Position } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import type { RunContext } from "../contracts.ts";
import { limitNow } from "./ahead.ts";
import type { CallEvents, CallsOptions } from "./ordered-calls.ts";
import type { FailedRow, Portion } from "./portions.ts";
import { keptOf, portions, takeFailed } from "./portions.ts";
import { positionBefore } from "./truncated.ts";

/** How many events may go past one that is not done: all these are done again after a crash, and their places are remembered. */
const MOST_PAST = 16_384;

/** Everything before it is done, and no event behind it has a smaller time. */
interface Front {
  readonly position: Position;
  readonly watermark: number;
}

/** A portion on its way. */
interface Slot {
  readonly number: number;
  readonly portion: Portion;
  state: "running" | "done" | "passed on";
  /** In rising order. They are given up when all before them is done, so that they are taken in their order. */
  failed: readonly FailedRow[];
}

/** What may go on now. */
interface Ready {
  readonly batches: readonly Batch[];
  /** What ends the step behind them. */
  readonly end?: { readonly thrown: unknown } | undefined;
}

/** Runs an asynchronous call over portions of each batch, several at a time, and passes events on as they are done. */
export async function* unorderedCalls(
  input: AsyncIterable<Batch>,
  run: RunContext,
  options: CallsOptions,
  call: CallEvents,
): AsyncGenerator<Batch> {
  const { signal } = run;
  const work = new UnorderedWork(portions(input, options.size), run, options, call);
  const abort = () => work.wake();
  signal.addEventListener("abort", abort, { once: true });
  try {
    while (true) {
      signal.throwIfAborted();
      work.fill();
      const { batches, end } = work.takeReady();
      // Nothing may be awaited between a look in vain and the wait for a change.
      for (const batch of batches) yield batch;
      if (end !== undefined) {
        signal.throwIfAborted();
        throw end.thrown;
      }
      if (batches.length > 0) continue;
      if (work.ended) return;
      await work.change();
    }
  } finally {
    signal.removeEventListener("abort", abort);
    await work.close();
  }
}

class UnorderedWork {
  readonly #iterator: AsyncIterator<readonly Portion[]>;
  readonly #run: RunContext;
  readonly #options: CallsOptions;
  readonly #call: CallEvents;
  /** From the first that is not done, or whose place was not passed yet. */
  #slots: Slot[] = [];
  /** Done, and not passed on. */
  #fresh: Slot[] = [];
  /** Started, and not passed on. */
  #held = 0;
  /** Events in `#slots`. */
  #events = 0;
  #number = 0;
  #items: readonly Portion[] = [];
  #next = 0;
  #front: Front | undefined;
  /** A barrier is on its way: nothing is started behind it. */
  #fenced = false;
  #input: "open" | "reading" | "ended" | "failed" = "open";
  #failure: { readonly thrown: unknown } | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(input: AsyncIterable<readonly Portion[]>, run: RunContext, options: CallsOptions, call: CallEvents) {
    this.#iterator = input[Symbol.asyncIterator]();
    this.#run = run;
    this.#options = options;
    this.#call = call;
  }

  get ended(): boolean {
    return this.#slots.length === 0 && this.#input === "ended";
  }

  /** Settles at the next change: something is done, or there is news of the input. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** Starts what may be started and asks the input for more. */
  fill(): void {
    if (this.#closed) return;
    while (this.#hasRoom() && this.#next < this.#items.length) this.#begin(this.#items[this.#next++] as Portion);
    if (this.#next < this.#items.length || !this.#hasRoom() || this.#input !== "open") return;
    this.#input = "reading";
    this.#iterator.next().then(
      (result) => {
        this.#input = result.done === true ? "ended" : "open";
        if (result.done !== true) {
          this.#items = result.value;
          this.#next = 0;
          this.fill();
        }
        this.wake();
      },
      (thrown: unknown) => {
        this.#input = "failed";
        this.#failure ??= { thrown };
        this.wake();
      },
    );
  }

  #hasRoom(): boolean {
    return !this.#fenced && this.#held < limitNow(this.#options.limit) && this.#events + this.#slots.length < MOST_PAST;
  }

  #begin(portion: Portion): void {
    const slot: Slot = { number: this.#number++, portion, state: "running", failed: [] };
    this.#slots.push(slot);
    this.#events += portion.events.length;
    if (portion.batch.barrier !== undefined) this.#fenced = true;
    if (portion.events.length === 0) {
      slot.state = "passed on";
      return;
    }
    this.#held += 1;
    this.#call(portion.events).then(
      (failed) => {
        slot.failed = failed;
        slot.state = "done";
        this.#fresh.push(slot);
        this.wake();
      },
      (thrown: unknown) => {
        // Only where all is given up.
        this.#failure ??= { thrown };
        this.wake();
      },
    );
  }

  takeReady(): Ready {
    const events = this.#takeDone();
    const before = this.#front;
    const { barrier, end } = this.#passHead();
    const front = this.#front ?? this.#begun();
    const batches: Batch[] = [];
    const isNews = events.length > 0 || end !== undefined || (this.#front !== before && barrier === undefined);
    if (front !== undefined && isNews) batches.push(behind(events, { ...front, position: end?.position ?? front.position }));
    if (barrier !== undefined) batches.push(barrier);
    if (end !== undefined) return { batches, end };
    const isLast = this.#slots.length === 0 || this.#run.signal.aborted;
    return { batches, end: this.#failure !== undefined && isLast ? this.#failure : undefined };
  }

  /** The events that were done since it was last asked, in input order. */
  #takeDone(): Event[] {
    const fresh = this.#fresh.toSorted((a, b) => a.number - b.number);
    this.#fresh = [];
    const events: Event[] = [];
    for (const slot of fresh) {
      slot.state = "passed on";
      this.#held -= 1;
      for (const event of keptOf(slot.portion, slot.failed)) events.push(event);
    }
    return events;
  }

  /** Lets the front go past what is done, up to a barrier, or to an event that ends the step. */
  #passHead(): { readonly barrier?: Batch; readonly end?: { readonly thrown: unknown; readonly position: Position } } {
    let passed = 0;
    try {
      for (const { portion, state, failed } of this.#slots) {
        if (state !== "passed on") break;
        const { batch, first, last, events } = portion;
        const failure = failed.length === 0 ? undefined : takeFailed(portion, failed, this.#options.step, this.#run);
        if (failure !== undefined) return { end: { thrown: failure.thrown, position: positionBefore(batch, first + failure.index) } };
        passed += 1;
        this.#events -= events.length;
        this.#front = last === "last" ? batch : this.#within(batch, first + events.length);
        if (last === "last" && batch.barrier !== undefined) {
          this.#fenced = false;
          return { barrier: batch };
        }
      }
      return {};
    } finally {
      this.#slots.splice(0, passed);
    }
  }

  /** The front before an event in the middle of a batch: its position is not passed, so that of the batch stands. */
  #within(batch: Batch, index: number): Front {
    const position = this.#front?.position ?? positionBefore(batch, 0);
    return { position, watermark: batch.events[index]?.watermark ?? batch.watermark };
  }

  /** Before anything is done. */
  #begun(): Front | undefined {
    const [first] = this.#slots;
    return first && { position: positionBefore(first.portion.batch, 0), watermark: NO_WATERMARK };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const reading = this.#input === "reading";
    const returned = this.#iterator.return?.();
    if (!reading) await returned;
    else returned?.catch(() => undefined);
  }
}

/** Events with the front that is behind them: none of them may tell a later watermark. */
function behind(events: Event[], { position, watermark }: Front): Batch {
  for (const event of events) event.watermark = Math.min(event.watermark, watermark);
  return { events, position, watermark };
}
