import { onAbort } from "./on-abort.ts";

/** The promise's outcome, or the signal's reason as soon as it aborts. What the promise stands for goes on. */
export function abortable<R>(promise: Promise<R>, signal: AbortSignal): Promise<R> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    const unwatch = onAbort(signal, abort);
    promise.then(resolve, reject).finally(unwatch);
  });
}
