import { setTimeout as delay } from "node:timers/promises";

/** How long `until` waits, and how often it looks. */
export interface UntilOptions {
  /** In ms; default 30,000. */
  readonly timeout?: number;
  /** In ms; default 25. */
  readonly every?: number;
}

/**
 * Waits until a condition holds, and gives what it returned. Tests use this in place of sleeping for a fixed time.
 * `undefined` and `false` mean "not yet". A condition that throws counts as "not yet", and its error is the cause of the failure.
 *
 * @throws Error naming `what`, when the time is up.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeout = 30_000, every = 25 }: UntilOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeout;
  let cause: unknown;
  for (;;) {
    try {
      const result = await condition();
      if (result !== undefined && result !== false) return result as Exclude<T, undefined | false>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${timeout} ms in vain until ${what}`, { cause });
    await delay(every);
  }
}
