/**
 * The only read-ahead: starts work on items up to a limit, and gives the results in input order.
 */

/** How much is under way at a time; where it changes, it is asked for before each start, and must never be less than 1. */
export type Limit = number | (() => number);

/** How much may be under way now. */
export function limitNow(limit: Limit): number {
  return typeof limit === "number" ? limit : limit();
}

interface Slot<B> {
  /** Whether it counts towards the limit: work that was done at once does not. */
  readonly counted: boolean;
  state: "running" | "done" | "failed";
  value: B | undefined;
  error: unknown;
}

/** Items without work of their own (marks of idle batches) may wait behind work that is under way, at most so many. */
const SPARE = 64;

/**
 * Starts `start` for each item in order, at most `limit` under way (a place is held until the result was taken), and
 * yields all results that are ready, in input order and never none. A slow head holds back those behind it.
 *
 * A failure comes in order as well: the results before it are yielded first; so does a failure of the input. When `signal`
 * aborts, waiting ends with its reason at once. When the consumer leaves, neither work under way nor an input that is being
 * read is waited for.
 */
export async function* ahead<A, B>(
  input: AsyncIterable<readonly A[]>,
  limit: Limit,
  signal: AbortSignal,
  start: (item: A) => B | Promise<B>,
): AsyncGenerator<B[]> {
  const iterator = input[Symbol.asyncIterator]();
  const work = new Work(iterator, limit, start);
  const abort = () => work.wake();
  signal.addEventListener("abort", abort, { once: true });
  try {
    while (true) {
      signal.throwIfAborted();
      work.fill();
      const ready = work.takeReady();
      if (ready.length > 0) yield ready;
      else if (work.ended) return;
      else await work.change();
    }
  } finally {
    signal.removeEventListener("abort", abort);
    await work.close();
  }
}

class Work<A, B> {
  readonly #iterator: AsyncIterator<readonly A[]>;
  readonly #limit: Limit;
  readonly #start: (item: A) => B | Promise<B>;
  readonly #slots: Slot<B>[] = [];
  #counted = 0;
  #items: readonly A[] = [];
  #next = 0;
  #input: "open" | "reading" | "ended" | "failed" = "open";
  #inputError: unknown;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(iterator: AsyncIterator<readonly A[]>, limit: Limit, start: (item: A) => B | Promise<B>) {
    this.#iterator = iterator;
    this.#limit = limit;
    this.#start = start;
  }

  get ended(): boolean {
    return this.#slots.length === 0 && this.#input === "ended";
  }

  /** Settles at the next change: a result at the head, or news of the input. */
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
    while (this.#hasRoom() && this.#next < this.#items.length) this.#begin(this.#items[this.#next++] as A);
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
      (error: unknown) => {
        this.#input = "failed";
        this.#inputError = error;
        this.wake();
      },
    );
  }

  /** The results at the head that are done. Throws the failure that has come to the head. */
  takeReady(): B[] {
    const ready: B[] = [];
    let taken = 0;
    for (const slot of this.#slots) {
      if (slot.state === "running") break;
      if (slot.state === "failed") {
        if (ready.length === 0) throw slot.error;
        break;
      }
      ready.push(slot.value as B);
      if (slot.counted) this.#counted -= 1;
      taken += 1;
    }
    this.#slots.splice(0, taken);
    if (this.#slots.length === 0 && this.#input === "failed" && ready.length === 0) throw this.#inputError;
    return ready;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const reading = this.#input === "reading";
    const returned = this.#iterator.return?.();
    if (!reading) await returned;
    else returned?.catch(() => undefined);
  }

  #hasRoom(): boolean {
    const limit = limitNow(this.#limit);
    return this.#counted < limit && this.#slots.length < limit + SPARE;
  }

  #begin(item: A): void {
    let started: B | Promise<B>;
    try {
      started = this.#start(item);
    } catch (error) {
      this.#slots.push({ counted: false, state: "failed", value: undefined, error });
      return;
    }
    if (!(started instanceof Promise)) {
      this.#slots.push({ counted: false, state: "done", value: started, error: undefined });
      return;
    }
    const slot: Slot<B> = { counted: true, state: "running", value: undefined, error: undefined };
    this.#slots.push(slot);
    this.#counted += 1;
    started.then(
      (value) => {
        slot.value = value;
        this.#settle(slot, "done");
      },
      (error: unknown) => {
        slot.error = error;
        this.#settle(slot, "failed");
      },
    );
  }

  #settle(slot: Slot<B>, state: "done" | "failed"): void {
    slot.state = state;
    if (this.#slots[0] === slot) this.wake();
  }
}
