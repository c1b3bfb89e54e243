import type { Clock } from "../clock.ts";

/** Parts of the time that is looked at; the oldest is forgotten as a whole. */
const PARTS = 30;

interface Part {
  readonly number: number;
  calls: number;
  failed: number;
}

/** Counts the calls of late, and those of them that failed. */
export class RecentCalls {
  readonly #within: number;
  readonly #clock: Clock;
  #parts: Part[] = [];

  /** @param within milliseconds */
  constructor(within: number, clock: Clock) {
    this.#within = within;
    this.#clock = clock;
  }

  add(how: "answered" | "failed"): void {
    const part = this.#now();
    part.calls += 1;
    if (how === "failed") part.failed += 1;
  }

  /** Of the time up to now. */
  count(): { readonly calls: number; readonly failed: number } {
    this.#now();
    let calls = 0;
    let failed = 0;
    for (const part of this.#parts) {
      calls += part.calls;
      failed += part.failed;
    }
    return { calls, failed };
  }

  forget(): void {
    this.#parts = [];
  }

  #now(): Part {
    const number = Math.floor((this.#clock.elapsed() * PARTS) / this.#within);
    const last = this.#parts[this.#parts.length - 1];
    if (last?.number === number) return last;
    this.#parts = this.#parts.filter((part) => part.number > number - PARTS);
    const part: Part = { number, calls: 0, failed: 0 };
    this.#parts.push(part);
    return part;
  }
}
