import type { EventHeaders, Origin, Position } from "./batch.ts";

/** An event that could not be processed, with the reason, as it is kept to be replayed. Times in milliseconds since the epoch. */
export interface DeadLetter {
  /** The same when the same event fails in the same task again, whatever the step and error. */
  readonly id: string;
  readonly task: string;
  readonly product: string;
  /** The step that refused it, or `source`, or the kind of the sink. */
  readonly step: string;
  readonly origin: Origin;
  readonly offset: Position;
  /**
   * `record`: key and value are those of the record as it was read. `derived`: no one record is at fault (a window, a
   * join of events): the value is the event's at that step, as JSON, and the key is the event's.
   */
  readonly holds: "record" | "derived";
  /** Bytes as they were read; null for a tombstone. */
  readonly value: Uint8Array | null;
  /**
   * How many bytes the value had, where the box could not hold it: `value` is null then, and the letter can't be replayed.
   * Set by boxes only, where a letter is read.
   */
  readonly leftOut?: number | undefined;
  readonly key: string | undefined;
  readonly headers: EventHeaders | undefined;
  /** The event's time; NaN if it has none. */
  readonly time: number;
  /** The class of the error: its `name`. */
  readonly error: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** How often it was tried, over all replays. */
  readonly attempts: number;
  readonly firstFailure: number;
  readonly lastFailure: number;
  /** Of Millrace. */
  readonly version: string;
}

/** A place where dead letters are kept: written by pipelines, read and emptied by the operator. Several tasks may share one. */
export interface LetterBox extends AsyncDisposable {
  /** Settles when all are kept durably. Outages are waited out until `signal` aborts. A letter whose id is there already takes its place. */
  write(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void>;
  /** The letters of a task that are not resolved yet, oldest first, and ends: what is written meanwhile may be missing. */
  read(task: string, signal: AbortSignal): AsyncIterable<DeadLetter>;
  /** Takes letters away: they were replayed, or are not wanted. Unknown ids are no error. */
  resolve(task: string, ids: readonly string[], signal: AbortSignal): Promise<void>;
}
