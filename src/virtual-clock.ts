import type { Clock } from "./clock.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
  readonly kind: "deadline" | undefined;
}

/** A clock that stands still until it is told to go on; for tests. */
export class VirtualClock implements Clock {
  /** What `elapsed` gives. */
  #elapsed = 0;
  /** What `now` is ahead of it. */
  #offset: number;
  readonly #timers = new Set<Timer>();

  /** @param start milliseconds since the epoch */
  constructor(start = 0) {
    this.#offset = start;
  }

  now(): number {
    return this.#elapsed + this.#offset;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  /** Sets it, as an operator or a time server would: what waits goes on waiting for as long as before. */
  set(now: number): void {
    this.#offset = now - this.#elapsed;
  }

  after(ms: number, callback: () => void, kind?: "deadline"): () => void {
    const timer = { at: this.#elapsed + Math.max(0, ms), callback, kind };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** The time of the next timer; undefined if there is none. */
  get next(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next + this.#offset;
  }

  /** Whether something is under way that has a deadline. */
  get hasDeadline(): boolean {
    for (const timer of this.#timers) if (timer.kind === "deadline") return true;
    return false;
  }

  /** Goes on by `ms`, calling what is due on the way at its own time, and letting what it started settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settle();
    for (let next = this.#next(); next !== undefined && next <= end; next = this.#next()) {
      this.#elapsed = Math.max(this.#elapsed, next);
      for (const timer of [...this.#timers].filter((candidate) => candidate.at <= this.#elapsed)) {
        if (this.#timers.delete(timer)) timer.callback();
      }
      await settle();
    }
    this.#elapsed = end;
    await settle();
  }

  #next(): number | undefined {
    let next: number | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.at < next) next = timer.at;
    return next;
  }
}

/** Lets everything that needs no time run: promises, and what they start. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
