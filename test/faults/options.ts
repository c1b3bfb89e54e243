/** What a fault run is asked to be. */

/** The kind of input, and where records or results go; by default to the same broker. */
export const SOURCES = ["kafka", "jetstream"] as const;
export const SINKS = ["kafka", "jetstream", "redis", "sql"] as const;
export const PIPELINES = ["relay", "window"] as const;
/** Where checkpoints are kept. */
export const STORES = ["redis", "natsKv", "file"] as const;

export interface FaultRunOptions {
  readonly seed: number;
  /** How long faults are made, in milliseconds; starting and checking come on top of it. */
  readonly length: number;
  readonly source: (typeof SOURCES)[number];
  readonly sink: (typeof SINKS)[number];
  readonly pipeline: (typeof PIPELINES)[number];
  /** Default: none is set. */
  readonly store?: (typeof STORES)[number] | undefined;
  /** Records per second. */
  readonly rate: number;
  /** How far event times may lie behind earlier ones, in milliseconds; above 0 results are right only with checkpoints. */
  readonly disorder: number;
  /** Only faults whose name has one of these in it; default all. */
  readonly only?: readonly string[] | undefined;
  /** The main file of another build. */
  readonly main?: string | undefined;
  /** How long nothing may move on after the faults were healed, in milliseconds; default two minutes. */
  readonly patience?: number | undefined;
}
