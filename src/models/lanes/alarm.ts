import type { Clock } from "../../clock.ts";

/** One timer for many times: rings at the earliest of them, and whoever hears it sets it anew. */
export class Alarm implements Disposable {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #at = Number.POSITIVE_INFINITY;
  #cancel: () => void = () => undefined;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `time` of the clock's `elapsed`, or before. */
  at(time: number): void {
    if (time >= this.#at) return;
    this.#cancel();
    this.#at = time;
    this.#cancel = this.#clock.after(
      Math.max(0, time - this.#clock.elapsed()),
      () => {
        this.#at = Number.POSITIVE_INFINITY;
        this.#ring();
      },
      "deadline",
    );
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#at = Number.POSITIVE_INFINITY;
  }
}
