/** What brokers keep of a task's place in their logs, for operators. Imports only the vocabulary. */
import type { Position } from "./batch.ts";

/** One partition's offsets, as positions: numbers of the next record. */
export interface PartitionOffsets {
  /** Named as in checkpoints. */
  readonly partition: string;
  /** Up to where the broker was told that all is done; undefined when it was not told anything. */
  readonly committed: Position | undefined;
  /** The first record that the log still has. */
  readonly first: Position;
  /** Behind its last record. */
  readonly end: Position;
}

/** The offsets of one task at its broker. */
export interface BrokerOffsets extends AsyncDisposable {
  read(): Promise<readonly PartitionOffsets[]>;
  /** Where each partition's first record is that has that time, in milliseconds, or a later one; its end when there is none. */
  at(time: number): Promise<ReadonlyMap<string, Position>>;
  /**
   * Commits positions in the name of the task.
   * @throws {MillraceError} when instances of the task are at work, where that would be undone
   */
  commit(positions: ReadonlyMap<string, Position>): Promise<void>;
}
