import { onAbort } from "../../on-abort.ts";

/** The calls that go by a signal. */
interface Watched {
  calls: number;
  unwatch: () => void;
}

/** Watches each signal once, however many calls go by it. */
export class Aborts {
  readonly #watched = new WeakMap<AbortSignal, Watched>();
  readonly #aborted: (signal: AbortSignal) => void;

  constructor(aborted: (signal: AbortSignal) => void) {
    this.#aborted = aborted;
  }

  watch(signal: AbortSignal): void {
    let watched = this.#watched.get(signal);
    if (watched === undefined) {
      watched = { calls: 0, unwatch: () => undefined };
      this.#watched.set(signal, watched);
    }
    if (watched.calls++ === 0) watched.unwatch = onAbort(signal, () => this.#aborted(signal));
  }

  unwatch(signal: AbortSignal): void {
    const watched = this.#watched.get(signal);
    if (watched !== undefined && --watched.calls === 0) watched.unwatch();
  }
}
