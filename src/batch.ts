/**
 * The vocabulary that everything else is written in. Imports nothing.
 */

/**
 * A place in one partition: everything before it is done or need not be read again. A Kafka offset, a JetStream stream
 * sequence, the number of a line or of a generated event, counted from 0; always the number of the next event to read.
 */
export type Position = number;

/** Where an event came from. One object is shared by all events of a partition; a record that is delivered again has one of its own. */
export interface Origin {
  /** The kind of source: `kafka`, `jetstream`, `file`, `generator`, `memory` … */
  readonly system: string;
  /** The topic, the stream, the file's path. */
  readonly name: string;
  /** The number of the Kafka partition; undefined where the source has no numbered partitions. */
  readonly partition: number | undefined;
  /** Tells inputs of the same name apart, where another can take the place of one: positions in both mean different records. */
  readonly edition?: string;
}

/** Names and values in the order in which the record has them; a name can stand several times. */
export type EventHeaders = readonly (readonly [name: string, value: string | Uint8Array])[];

/** One record. Steps replace `value` in place; key, time, headers and origin stay with it. */
export interface Event<T = unknown> {
  value: T;
  /** The record's key until a `keyBy` sets another. */
  key: string | undefined;
  /** Event time in milliseconds since the epoch: the record's own timestamp until a `timeBy` sets another; NaN if the source has none. */
  time: number;
  headers: EventHeaders | undefined;
  readonly origin: Origin;
  /**
   * The position to read from again to make this event once more: a record's own offset, and for the result of a window
   * the offset of its first record.
   */
  readonly offset: Position;
  /**
   * The partition's watermark just before this event, in milliseconds. It is carried by each event, so that what a window
   * does never depends on where batches were cut.
   */
  watermark: number;
  /** Bytes of the record that it came from, for limits on what waits; 0 if unknown. */
  readonly size: number;
  /**
   * The value as the source read it, before anything decoded it, so that a dead letter can keep it: bytes, null for a
   * tombstone. Undefined where a source has no bytes, and for what a step made of several events.
   */
  raw?: Uint8Array | string | null | undefined;
  /** The key as the source read it. */
  rawKey?: string | undefined;
}

/** Events that travel together in the order of one partition. */
export interface Batch<T = unknown> {
  /** May be empty: an idle source still moves time. The array belongs to whoever received the batch. */
  readonly events: Event<T>[];
  /** Once the events of this batch are written, everything before this position is done. Never falls. */
  readonly position: Position;
  /** The watermark after all events of this batch: no event with a smaller time is expected. Never falls. */
  readonly watermark: number;
  /** Set on an empty batch that marks a place for a checkpoint. A step passes it on behind everything that came before it. */
  readonly barrier?: Barrier | undefined;
}

/**
 * A mark that rides with the batches from the source to the sinks, behind everything that was read before it (Flink's
 * checkpoint barriers, in a line: https://nightlies.apache.org/flink/flink-docs-stable/docs/concepts/stateful-stream-processing/).
 */
export interface Barrier {
  /** Rises from barrier to barrier of a partition. */
  readonly number: number;
}

/** The watermark before anything is known about time. */
export const NO_WATERMARK = Number.NEGATIVE_INFINITY;

/** The watermark of the last batch of a finite input: it closes time windows, sessions and partial batches. A planned stop never sends it. */
export const END_OF_INPUT = Number.POSITIVE_INFINITY;

/** Names the place of an event for people: `kafka orders/3@1234`, `file data/bids.ndjson:17`. */
export function placeOf(origin: Origin, offset: Position): string {
  if (origin.system === "file") return `file ${origin.name}:${offset + 1}`;
  const partition = origin.partition === undefined ? "" : `/${origin.partition}`;
  return `${origin.system} ${origin.name}${partition}@${offset}`;
}
