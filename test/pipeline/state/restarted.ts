import type { Batch, Event, Position } from "../../../src/batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../../../src/batch.ts";
import type { CheckpointStore } from "../../../src/checkpoint-store.ts";
import type { Partition, Sink, Source } from "../../../src/contracts.ts";
import { PlannedStop } from "../../../src/errors.ts";
import { createInstance } from "../../../src/pipeline/instance.ts";
import type { Plan } from "../../../src/pipeline/plan.ts";
import { bareContext } from "../../support/bare-context.ts";

/** An event for a pipeline that is run several times over the same input. */
export interface Given {
  readonly value: unknown;
  readonly key?: string | undefined;
  readonly time?: number;
}

/** One run of several over the same input. */
export interface Attempt {
  /** How many events it reads at most. */
  readonly events: number;
  /** How it ends when it has read them: given up at once, or stopped as planned. */
  readonly ending: "crash" | "stop";
  readonly batchSize: number;
}

export interface Restarts {
  readonly store?: CheckpointStore;
  readonly interval?: number;
  readonly misfit?: "refuse" | "reset";
  readonly origin?: string;
  /** What the last run works by, which goes to the end; default the same plan. */
  readonly lastPlan?: Plan;
}

/** What all runs together gave to the sink, and what was committed. */
export interface Outcome {
  readonly results: readonly Event[];
  readonly commits: readonly Position[];
  /** Where each run began to read; undefined: where the source says. */
  readonly starts: readonly (Position | undefined)[];
}

/** Runs a plan over an input again and again, each time from where the broker or the checkpoint says, and to its end at last. */
export async function restarted(plan: Plan, input: readonly Given[], attempts: readonly Attempt[], options: Restarts): Promise<Outcome> {
  const results: Event[] = [];
  const commits: Position[] = [];
  const starts: (Position | undefined)[] = [];
  const whole: Attempt = { events: Number.POSITIVE_INFINITY, ending: "stop", batchSize: 7 };
  for (const attempt of [...attempts, whole]) {
    const stop = new AbortController();
    const abandon = new AbortController();
    const finish = () => {
      stop.abort(new PlannedStop("enough"));
      if (attempt.ending === "crash") abandon.abort(new PlannedStop("a crash"));
    };
    const read = (from: Position | undefined) => {
      starts.push(from);
      return batchesOf(input, from ?? commits.at(-1) ?? 0, attempt, options.origin ?? "input", finish);
    };
    const partition: Partition = {
      name: "input",
      signal: new AbortController().signal,
      read,
      commit: (position) => Promise.resolve(void commits.push(position)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const { store, interval = 0, misfit = "refuse" } = options;
    const instance = createInstance(attempt === whole ? (options.lastPlan ?? plan) : plan, bareContext({ signal: abandon.signal }), {
      openSource: () => Promise.resolve(sourceOf(partition)),
      openSink: () => Promise.resolve(collector(results)),
      checkpoints: store && { store, interval, misfit },
    });
    await instance.run(stop.signal).catch((error: unknown) => {
      if (!(error instanceof PlannedStop)) throw error;
    });
  }
  return { results, commits, starts };
}

async function* batchesOf(
  input: readonly Given[],
  from: Position,
  attempt: Attempt,
  name: string,
  finish: () => void,
): AsyncGenerator<Batch> {
  const origin = { system: "memory", name, partition: undefined };
  const end = Math.min(input.length, from + attempt.events);
  for (let at = from; at < end; at += attempt.batchSize) {
    const next = Math.min(end, at + attempt.batchSize);
    const events = input.slice(at, next).map(({ value, key, time = Number.NaN }, index) => {
      return { value, key, time, headers: undefined, origin, offset: at + index, watermark: NO_WATERMARK, size: 10 };
    });
    yield { events, position: next, watermark: NO_WATERMARK };
    // So that what was saved meanwhile has its turn.
    if (at % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  if (attempt.events < Number.POSITIVE_INFINITY) finish();
  else yield { events: [], position: input.length, watermark: END_OF_INPUT };
}

function sourceOf(partition: Partition): Source {
  return {
    partitions: async function* () {
      yield partition;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function collector(results: Event[]): Sink {
  return {
    write: (events) => {
      for (const event of events) results.push({ ...event });
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
