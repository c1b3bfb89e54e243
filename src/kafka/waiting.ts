/** The result, or undefined when the signal aborts first; what comes later is ignored. */
export async function unlessAborted<R>(promise: Promise<R>, signal: AbortSignal): Promise<R | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const abort = () => aborted.resolve(undefined);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([aborted.promise, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    promise.catch(() => {});
  }
}
