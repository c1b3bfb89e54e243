import type { Random } from "./random.ts";

/** Where an event fails, if it does. */
export type Fault = "none" | "source" | "decode" | "time" | "call" | "sink";

/** How an attempt to call a service for an event ends. */
export type Attempt = "answers" | "fails" | "hangs";

/** One record of the input, and what is to become of it. */
export interface Reading {
  /** Unique in the run: `partition-offset`. */
  readonly id: string;
  readonly key: string;
  /** Event time, in milliseconds. */
  readonly time: number;
  readonly kept: boolean;
  readonly fault: Fault;
  /** The ends of the first calls; later ones answer, unless the fault is `call`. */
  readonly attempts: readonly Attempt[];
  /** Set by an error handler. */
  readonly mended?: boolean;
}

export interface InputOptions {
  readonly partitions: number;
  readonly events: number;
  readonly keys: number;
  /** How much event times of neighbours may be out of order, in milliseconds. */
  readonly jitter: number;
  /** The part of the events that fail somewhere. */
  readonly bad: number;
  readonly faults: readonly Fault[];
  /** The most attempts that end badly of a call that succeeds at last. */
  readonly badAttempts: number;
}

/** The records of each partition. */
export function makeInput(random: Random, options: InputOptions): readonly (readonly Reading[])[] {
  return Array.from({ length: options.partitions }, (_, partition) => {
    let time = 1000;
    return Array.from({ length: options.events }, (_event, offset): Reading => {
      time += random.int(0, 12);
      const bad = options.faults.length > 0 && random.chance(options.bad);
      return {
        id: `${partition}-${offset}`,
        key: `k${random.int(1, options.keys)}`,
        time: Math.max(0, time - random.int(0, options.jitter)),
        kept: random.chance(0.85),
        fault: bad ? random.pick(options.faults) : "none",
        attempts: random.chance(0.2)
          ? Array.from({ length: random.int(0, options.badAttempts) }, () => random.pick(["fails", "fails", "hangs"] as const))
          : [],
      };
    });
  });
}
