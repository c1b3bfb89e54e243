import type { Fault } from "../../errors.ts";

/** A task as a store has it, before it is checked. */
export interface StoredTask {
  /** The file and line, or row, that it comes from. */
  readonly where: string;
  /** The file or table that it comes from: of two tasks with one id, the one whose origin has the id already keeps it. */
  readonly origin: string;
  /** As it was written, with references replaced; of any shape. Undefined when it can't be read. */
  readonly value: unknown;
  /** The id that it has all the same when its value can't be read, as the key of a row. */
  readonly id?: string | undefined;
  /** What the references in it stood for. */
  readonly secrets: readonly string[];
  /** What is wrong with it before anything else is looked at, each with its path. */
  readonly faults: readonly string[];
}

/** What a store holds at one moment. */
export interface StoreContents {
  readonly tasks: readonly StoredTask[];
  /** Places of the store that can't be read at all, such as a file of broken YAML. Their tasks stay as they were last read. */
  readonly faults: readonly Fault[];
}

/**
 * A place where tasks are kept.
 *
 * `read` gives everything that the store holds, in an order that does not change by itself. It throws when the store
 * can't be reached: it never gives an empty or partial answer for it.
 */
export interface TaskStore {
  /** For messages, without secrets: `files /etc/millrace/tasks`. */
  readonly name: string;
  read(signal: AbortSignal): Promise<StoreContents>;
  /** Yields when it is time to read again: something may have changed. Ends, or throws the reason, when `signal` aborts. */
  changes(signal: AbortSignal): AsyncIterable<void>;
}
