import type { Event } from "../batch.ts";
import type { SinkSpec } from "../contracts.ts";
import { MillraceError } from "../errors.ts";

/** A memory sink and what it received. */
export interface MemorySink extends SinkSpec {
  readonly events: readonly Event[];
}

/** Options of `memorySink`. */
export interface MemorySinkOptions {
  /** The most events that it keeps; more is an error. Default 1,000,000. */
  readonly maxEvents?: number;
}

/** Keeps what it receives, in order: for tests and embedding. All instances that open it share it. */
export function memorySink(options: MemorySinkOptions = {}): MemorySink {
  const { maxEvents = 1_000_000 } = options;
  const events: Event[] = [];
  return {
    kind: "memory",
    description: {},
    events,
    open: () =>
      Promise.resolve({
        write: async (written) => {
          if (events.length + written.length > maxEvents)
            throw new MillraceError(`the memory sink is full: it keeps at most ${maxEvents} events`);
          // A copy: values stay, but the events belong to the pipeline.
          for (const event of written) events.push({ ...event });
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
}

const sinks = new Map<string, MemorySink>();

/** The memory sink of a name, the same for all who ask in this process: a task's config can name it, and a test look at it. */
export function namedMemorySink(name: string): MemorySink {
  let sink = sinks.get(name);
  if (sink === undefined) {
    sink = memorySink();
    sinks.set(name, sink);
  }
  return sink;
}
