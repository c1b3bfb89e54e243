import { Bag, type InBag } from "./bag.ts";

/** What is to be called when a signal aborts. */
interface Waiting extends InBag {
  readonly callback: () => void;
}

/** Of each signal those who wait: one listener for all of them. */
const listenersOf = new WeakMap<AbortSignal, Listener>();

/**
 * Has `callback` called when the signal aborts, once; not when it has aborted already. It must not throw. To be used where a signal outlives what is
 * under way, as that of a run outlives each of its calls: an EventTarget's listeners are a linked list, and one that was taken
 * out still points to the next. Where several are under way at a time that is a chain of all of them, which keeps what they hold
 * until V8's next full collection, and makes the small ones before it ten times as long.
 * @returns takes it out again; does nothing the second time
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let listener = listenersOf.get(signal);
  if (listener === undefined) {
    listener = new Listener(signal);
    listenersOf.set(signal, listener);
  }
  return listener.add(callback);
}

class Listener {
  readonly #signal: AbortSignal;
  readonly #waiting = new Bag<Waiting>();
  readonly #abort = (): void => {
    for (const waiting of this.#waiting.all()) if (this.#waiting.delete(waiting)) waiting.callback();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(callback: () => void): () => void {
    const waiting: Waiting = { slot: 0, callback };
    if (this.#waiting.size === 0) this.#signal.addEventListener("abort", this.#abort, { once: true });
    this.#waiting.add(waiting);
    return () => {
      // One that nobody uses any more must not be kept: a signal made of others is not forgotten while it has a listener.
      if (this.#waiting.delete(waiting) && this.#waiting.size === 0) this.#signal.removeEventListener("abort", this.#abort);
    };
  }
}
