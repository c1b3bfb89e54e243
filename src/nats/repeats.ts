import type { Clock } from "../clock.ts";

/** A run of repeats is over when none came for so long, in milliseconds. One without end is told once in `MOST_CHECKS` of that. */
const QUIET = 5000;
const MOST_CHECKS = 12;

/** Counts the messages that a stream dropped as repeats, and tells of each run of them once. */
export class Repeats {
  readonly #clock: Clock;
  readonly #tell: (count: number) => void;
  #count = 0;
  #cancel: (() => void) | undefined;

  /** @param tell told how many there were when a run of them is over */
  constructor(clock: Clock, tell: (count: number) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  add(): void {
    this.#count++;
    if (this.#cancel === undefined) this.#check(MOST_CHECKS);
  }

  /** Tells of what was not told yet. */
  end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#count > 0) this.#tell(this.#count);
    this.#count = 0;
  }

  #check(left: number): void {
    const before = this.#count;
    this.#cancel = this.#clock.after(QUIET, () => {
      if (this.#count === before || left === 1) this.end();
      else this.#check(left - 1);
    });
  }
}
