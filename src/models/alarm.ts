import type { Clock } from "../clock.ts";

/** Calls back at the earliest of the times that it was set to. */
export class Alarm {
  readonly #clock: Clock;
  readonly #callback: (now: number) => void;
  readonly #kind: "deadline" | undefined;
  #at = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  /**
   * @param callback gets the time, never before the one that it was set to: timers may be early by a fraction
   * @param kind as for `Clock.after`
   */
  constructor(clock: Clock, callback: (now: number) => void, kind?: "deadline") {
    this.#clock = clock;
    this.#callback = callback;
    this.#kind = kind;
  }

  /** @param at the clock's `elapsed`; Infinity for never */
  set(at: number): void {
    if (at >= this.#at) return;
    this.clear();
    this.#at = at;
    const ring = () => {
      this.clear();
      this.#callback(Math.max(at, this.#clock.elapsed()));
    };
    this.#cancel = this.#clock.after(Math.max(0, at - this.#clock.elapsed()), ring, this.#kind);
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#at = Number.POSITIVE_INFINITY;
  }
}
