import type { Event, Position } from "../../src/batch.ts";
import type { Refuse, Sink } from "../../src/contracts.ts";
import type { DeadLetter, LetterBox } from "../../src/dead-letter.ts";
import { DataError } from "../../src/errors.ts";
import { ResultIds } from "../../src/result-ids.ts";
import type { Reading } from "./input.ts";
import { readingsIn } from "./pipeline.ts";
import type { Process } from "./process.ts";
import type { Service } from "./service.ts";
import { unlessAborted } from "./store.ts";

/** Something that was kept outside. */
export interface Kept {
  readonly where: "results" | "late" | "letters";
  readonly id: string;
  readonly partition: number;
  readonly offset: Position;
  readonly key: string | undefined;
  /** All of it, for comparison. */
  readonly shown: string;
  /** The ids of the readings that it was made of. */
  readonly readings: readonly string[];
}

/** Milliseconds until something is tried again. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 2000;

/** Everything that the pipelines gave, in the order in which it came, repeats included. */
export class Outputs {
  readonly service: Service;
  readonly all: Kept[] = [];

  constructor(service: Service) {
    this.service = service;
  }

  /** A sink as one process has it; writes go out one after the other. */
  sink(process: Process, where: "results" | "late", options: { readonly writes: number; readonly refusal: "asks" | "throws" }): Sink {
    const ids = new ResultIds("task", where);
    let last: Promise<unknown> = Promise.resolve();
    return {
      maxInFlight: options.writes,
      write: (events, signal, refuse) => {
        const { good, failure } =
          where === "results" ? accepted(events, options.refusal === "asks" ? refuse : undefined) : { good: events };
        const kept = good.map((event) => keptOf(where, ids.of(event), event));
        const written = last.then(() => this.#keep(process, kept, signal));
        last = written.catch(() => undefined);
        return failure === undefined
          ? written
          : written.then(() => {
              throw failure;
            });
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  letterBox(process: Process): LetterBox {
    return {
      write: (letters, signal) => this.#keep(process, letters.map(keptLetter), signal),
      read: async function* () {},
      resolve: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  /** Tries until it is confirmed. */
  async #keep(process: Process, kept: readonly Kept[], signal: AbortSignal): Promise<void> {
    if (kept.length === 0) return;
    const what = `keep ${kept.length} in ${kept[0]?.where}: ${kept[0]?.id} …`;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      signal.throwIfAborted();
      try {
        const keep = () => void this.all.push(...kept);
        const keepPart = () => void this.all.push(...kept.slice(0, Math.ceil(kept.length / 2)));
        await unlessAborted(process.ask(this.service, what, keep, keepPart), signal);
        return;
      } catch {
        signal.throwIfAborted();
        await unlessAborted(new Promise<void>((resolve) => void process.clock.after(pause, resolve)), signal);
      }
    }
  }
}

interface Accepted {
  readonly good: readonly Event[];
  readonly failure?: unknown;
}

/** What a sink takes of a batch: all but what it refuses, or what stands before the first that it refuses. */
function accepted(events: readonly Event[], refuse: Refuse | undefined): Accepted {
  const good: Event[] = [];
  for (const event of events) {
    if ((event.value as Partial<Reading> | undefined)?.fault !== "sink") {
      good.push(event);
      continue;
    }
    const failure = new DataError("results", event, new TypeError("too large"));
    if (refuse === undefined) return { good, failure };
    try {
      refuse(event, failure);
    } catch (thrown) {
      return { good, failure: thrown };
    }
  }
  return { good };
}

function keptOf(where: Kept["where"], id: string, { origin, offset, key, time, value }: Event): Kept {
  const readings = readingsIn(value);
  const partition = origin.partition ?? 0;
  return { where, id, partition, offset, key, shown: JSON.stringify([key, time, offset, frameOf(value), readings]), readings };
}

/** Of a window: which one it is. */
function frameOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("start" in value)) return undefined;
  const { start, end, count } = value as { readonly start: number; readonly end: number; readonly count: number };
  return [start, end, count];
}

function keptLetter({ id, origin, offset, key, step, value, error, attempts }: DeadLetter): Kept {
  const raw = value === null ? "" : Buffer.from(value).toString();
  const shown = JSON.stringify([key, offset, step, error, attempts, raw]);
  return { where: "letters", id, partition: origin.partition ?? 0, offset, key, shown, readings: [raw] };
}
