/** What a fault run is asked to be. */

/** The kind of input, and where records or results go; by default to the same broker. */
export const SOURCES = ["kafka", "jetstream"] as const;
export const SINKS = ["kafka", "jetstream", "redis", "sql"] as const;
export const PIPELINES = ["relay", "window"] as const;
/** Where checkpoints are kept; `none`: a step that keeps no state in them makes the pipeline hold its positions back instead. */
export const STORES = ["file", "redis", "natsKv", "none"] as const;
/** Where dead letters are kept. */
export const LETTERS = ["kafka", "jetstream", "file", "sql"] as const;

export interface FaultRunOptions {
  readonly seed: number;
  /** How long faults are made, in milliseconds; starting and checking come on top of it. */
  readonly length: number;
  readonly source: (typeof SOURCES)[number];
  readonly sink: (typeof SINKS)[number];
  readonly pipeline: (typeof PIPELINES)[number];
  /** Default: a folder of the one supervisor. */
  readonly store?: (typeof STORES)[number] | undefined;
  /** Records per second. */
  readonly rate: number;
  /** How far event times may lie behind earlier ones, in milliseconds; above 0 results are right only with checkpoints. */
  readonly disorder: number;
  /** The part of the records, from 0 to 1, that comes too late for its window; default none. */
  readonly late?: number | undefined;
  /** Then one in 1,000 records is poison; default: none is. */
  readonly letters?: (typeof LETTERS)[number] | undefined;
  /** How many brokers Kafka has, 1 or 3, each with a copy of everything; default 1. */
  readonly brokers?: number | undefined;
  /** Only faults whose name has one of these in it; default all. */
  readonly only?: readonly string[] | undefined;
  /** The main file of another build. */
  readonly main?: string | undefined;
  /** How long nothing may move on after the faults were healed, in milliseconds; default two minutes. */
  readonly patience?: number | undefined;
}
