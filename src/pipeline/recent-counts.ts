import type { Clock } from "../clock.ts";

/** The time that is looked at has so many parts; the oldest is forgotten as a whole. */
const PARTS = 30;

interface Part {
  readonly number: number;
  all: number;
  failed: number;
}

/** Counts what there was and what of it failed, of late. */
export class RecentCounts {
  readonly #within: number;
  readonly #clock: Clock;
  #parts: Part[] = [];

  /** @param within how long something counts, in milliseconds */
  constructor(within: number, clock: Clock) {
    this.#within = within;
    this.#clock = clock;
  }

  add(all: number, failed: number): void {
    const part = this.#now();
    part.all += all;
    part.failed += failed;
  }

  /** What counts now. */
  sums(): { readonly all: number; readonly failed: number } {
    this.#now();
    let all = 0;
    let failed = 0;
    for (const part of this.#parts) {
      all += part.all;
      failed += part.failed;
    }
    return { all, failed };
  }

  clear(): void {
    this.#parts = [];
  }

  #now(): Part {
    const number = Math.floor((this.#clock.elapsed() * PARTS) / this.#within);
    const last = this.#parts[this.#parts.length - 1];
    if (last?.number === number) return last;
    this.#parts = this.#parts.filter((part) => part.number > number - PARTS);
    const part: Part = { number, all: 0, failed: 0 };
    this.#parts.push(part);
    return part;
  }
}
