/** The records of a fault run: each tells by itself whether it arrived as it was made. */
import { crc32 } from "node:zlib";

/**
 * What is to become of a record: `keep` is to reach the sink, `filter` is dropped by the pipeline, `poison` is to be a dead
 * letter. A `tick` only moves time, in every partition, so that windows close at the end of a run.
 */
export type Fate = "keep" | "filter" | "poison" | "tick";

/** A record, without its checksum. */
export interface FaultRecord {
  /** Tells the records of a run from all others. */
  readonly run: string;
  readonly key: string;
  /** Counted from 0 for each key. */
  readonly seq: number;
  /** Event time in milliseconds since the epoch. */
  readonly at: number;
  readonly fate: Fate;
}

/** A record as JSON with its checksum in `sum`. */
export function recordText({ run, key, seq, at, fate }: FaultRecord): string {
  return JSON.stringify({ run, key, seq, at, fate, sum: checksum({ run, key, seq, at, fate }) });
}

/** The record that a text is, of this run and unharmed; else undefined. */
export function readRecord(text: string, run: string): FaultRecord | undefined {
  let found: Partial<FaultRecord & { readonly sum: string }> | null;
  try {
    found = JSON.parse(text) as typeof found;
  } catch {
    return undefined;
  }
  if (typeof found !== "object" || found === null || found.run !== run) return undefined;
  const { key = "", seq = -1, at = Number.NaN, fate = "keep", sum } = found;
  const record: FaultRecord = { run, key, seq, at, fate };
  return sum === checksum(record) ? record : undefined;
}

function checksum({ run, key, seq, at, fate }: FaultRecord): string {
  return crc32(`${run}|${key}|${seq}|${at}|${fate}`).toString(16);
}
