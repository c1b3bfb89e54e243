import type { Clock } from "../clock.ts";

/** Yielded in the place of an item when the time that was asked for has come. */
export const TICK = Symbol("tick");

/**
 * Passes an input on, and says when a time has come while the input gives nothing.
 * @param left in how many milliseconds to yield TICK, asked before each wait; undefined for never. Whoever gets a TICK moves
 *   it on.
 */
export async function* withTimer<A>(
  input: AsyncIterable<A>,
  clock: Clock,
  left: () => number | undefined,
): AsyncGenerator<A | typeof TICK> {
  const iterator = input[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<A>> | undefined;
  try {
    while (true) {
      pending ??= iterator.next();
      const wait = left();
      const result = wait === undefined ? await pending : await orTick(pending, clock, wait);
      if (result === TICK) {
        yield TICK;
        continue;
      }
      pending = undefined;
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    const returned = iterator.return?.();
    if (pending === undefined) await returned;
    else {
      // An input that is being read is not waited for: something before it may never answer.
      pending.catch(() => undefined);
      returned?.catch(() => undefined);
    }
  }
}

async function orTick<R>(pending: Promise<R>, clock: Clock, wait: number): Promise<R | typeof TICK> {
  if (wait <= 0) return TICK;
  let cancel: (() => void) | undefined;
  const timer = new Promise<typeof TICK>((resolve) => {
    cancel = clock.after(wait, () => resolve(TICK));
  });
  try {
    return await Promise.race([pending, timer]);
  } finally {
    cancel?.();
  }
}
