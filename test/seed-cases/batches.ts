import type { Timed } from "./timeline.ts";

/** What decides where batches end. Times in milliseconds. */
export interface BatchRules {
  readonly size: number | undefined;
  readonly time: number | undefined;
  readonly key: ((event: unknown) => unknown) | undefined;
  /** When the input ends, which gives what is left; undefined: behind its last event. */
  readonly end: number | undefined;
}

/** One batch, and when it is given. */
export interface GivenBatch {
  readonly at: number;
  readonly values: readonly unknown[];
}

/** The batches that are right: full ones at once, others when so much time has passed since their own first event. */
export function batchesOf(
  events: readonly Timed[],
  { size = Number.POSITIVE_INFINITY, time, key, end }: BatchRules,
): readonly GivenBatch[] {
  const open = new Map<unknown, { readonly due: number; readonly values: unknown[] }>();
  const given: GivenBatch[] = [];
  const give = (before: number) => {
    for (const [name, { due, values }] of [...open].toSorted(([, a], [, b]) => a.due - b.due)) {
      if (due > before) continue;
      open.delete(name);
      given.push({ at: due, values });
    }
  };
  for (const { at, event } of events) {
    give(at);
    const name = key?.(event);
    const batch = open.get(name) ?? { due: at + (time ?? Number.POSITIVE_INFINITY), values: [] };
    open.set(name, batch);
    batch.values.push(event);
    if (batch.values.length < size) continue;
    open.delete(name);
    given.push({ at, values: batch.values });
  }
  const last = end ?? events.at(-1)?.at ?? 0;
  give(last);
  for (const { values } of open.values()) given.push({ at: last, values });
  return given;
}
