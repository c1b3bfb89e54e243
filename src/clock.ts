import { onAbort } from "./on-abort.ts";

/** Time as the program sees it, so that tests can put a virtual clock in its place. */
export interface Clock {
  /** Milliseconds since the epoch, by the machine's clock: it may be set, forward or back. */
  now(): number;
  /** Milliseconds since some moment of this process. It goes on evenly when the machine's clock is set: for how long something takes. */
  elapsed(): number;
  /**
   * Calls `callback` once, `ms` milliseconds from now, unless the returned function was called before.
   * @param kind `deadline`: it limits something that is under way, and that most often ends before
   */
  after(ms: number, callback: () => void, kind?: "deadline"): () => void;
}

/** The machine's clock. A wait of more than 24 days ends after 24 days: whoever waits for a time looks at the clock again. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMER));
    return () => clearTimeout(timer);
  },
};

/** Node's timers take at most a signed 32-bit number of milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Waits for something, but not for longer than `ms` milliseconds if that is given. Returns whether it is done; throws what it rejects with. */
export async function within(done: PromiseLike<unknown>, ms: number | undefined, clock: Clock = systemClock): Promise<boolean> {
  const time = Promise.withResolvers<boolean>();
  const cancel = ms === undefined ? () => undefined : clock.after(ms, () => time.resolve(false), "deadline");
  try {
    return await Promise.race([done.then(() => true), time.promise]);
  } finally {
    cancel();
  }
}

/** Settles after `ms` milliseconds of `clock`; rejects with the signal's reason when it aborts first. */
export function sleep(ms: number, signal: AbortSignal, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const abort = () => {
      cancel();
      reject(signal.reason as Error);
    };
    const cancel = clock.after(ms, () => {
      unwatch();
      resolve();
    });
    const unwatch = onAbort(signal, abort);
  });
}
