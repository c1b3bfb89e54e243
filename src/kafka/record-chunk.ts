import type { Event, Position } from "../batch.ts";
import type { RecordValue } from "./consumer.ts";

/** Limits of one batch: enough to make an await cheap, little enough that the next step finds the last one's values in the processor's caches. */
export const BATCH_EVENTS = 256;
export const BATCH_BYTES = 1_048_576;

/** Records of one partition as a client handed them over, turned into events piece by piece. */
export interface RecordChunk {
  /** The offset of the next record that may come out of it; behind the last one when it is done. */
  readonly position: Position;
  /** Bytes that still wait in it. */
  readonly waiting: number;
  /** Whether nothing more comes. */
  readonly done: boolean;
  /**
   * Appends events until there are BATCH_EVENTS or BATCH_BYTES of them, or it is done.
   * @param bytes the size of the events that are in the array already
   * @returns the size of all events in the array
   * @throws {DataError} at a record that can't be read; the events before it have been appended, `position` is its offset
   */
  take(events: Event<RecordValue>[], bytes: number): number;
}
