import { sleep } from "../../clock.ts";

/** Yields every `every` milliseconds until `signal` aborts. For stores that can't say when they change. */
export async function* intervals(every: number, signal: AbortSignal): AsyncGenerator<void> {
  while (!signal.aborted) {
    try {
      await sleep(every, signal);
    } catch {
      return;
    }
    yield;
  }
}
