/** One listener for each signal, however many calls go by it. */
export class Aborts {
  readonly #watched = new Map<AbortSignal, { calls: number; readonly listener: () => void }>();
  readonly #aborted: (signal: AbortSignal) => void;

  constructor(aborted: (signal: AbortSignal) => void) {
    this.#aborted = aborted;
  }

  watch(signal: AbortSignal): void {
    const watched = this.#watched.get(signal);
    if (watched !== undefined) {
      watched.calls += 1;
      return;
    }
    const listener = () => this.#aborted(signal);
    this.#watched.set(signal, { calls: 1, listener });
    signal.addEventListener("abort", listener, { once: true });
  }

  unwatch(signal: AbortSignal): void {
    const watched = this.#watched.get(signal);
    if (watched === undefined || --watched.calls > 0) return;
    this.#watched.delete(signal);
    signal.removeEventListener("abort", watched.listener);
  }
}
