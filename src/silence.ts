import type { Clock } from "./clock.ts";

/**
 * Says when something that is waited for has not come for a time. Its one timer goes on while things come, and looks anew when it rings: one that
 * is set and cleared for each of them would cost more than the waiting itself.
 */
export class Silence implements Disposable {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #callback: () => void;
  #since: number | undefined;
  #cancel: (() => void) | undefined;

  /** @param callback called once for each `begin` that is not ended within `ms` milliseconds */
  constructor(clock: Clock, ms: number, callback: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#callback = callback;
  }

  /** Waiting begins. */
  begin(): void {
    this.#since = this.#clock.elapsed();
    if (this.#cancel === undefined) this.#set(this.#ms);
  }

  /** It has come. */
  end(): void {
    this.#since = undefined;
  }

  #set(ms: number): void {
    this.#cancel = this.#clock.after(ms, () => this.#ring());
  }

  #ring(): void {
    this.#cancel = undefined;
    if (this.#since === undefined) return;
    const left = this.#since + this.#ms - this.#clock.elapsed();
    if (left > 0) {
      this.#set(left);
      return;
    }
    this.end();
    this.#callback();
  }

  [Symbol.dispose](): void {
    this.end();
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
