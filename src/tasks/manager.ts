import type { TaskChange, TaskSet } from "./task.ts";

/**
 * Knows the products and tasks: `openTaskManager(settings, { logger, signal })` finds the products, reads every task
 * store once, checks each task, and watches the stores from then on. It logs what is wrong when it becomes so.
 */
export interface TaskManager extends AsyncDisposable {
  /** What is known now. */
  current(): TaskSet;
  /**
   * Every change from the moment of the call on, those of `reload` too: none between `current()` and a `changes()` right
   * after it is missed. Changes that come while the consumer is busy are yielded as one. Ends when `signal` aborts or the
   * manager is disposed of.
   */
  changes(signal: AbortSignal): AsyncIterable<TaskChange>;
  /**
   * Finds and imports the products anew and reads every store. Tasks whose product's files changed count as changed.
   * @returns how the set differs from before; the same change also comes out of `changes`
   */
  reload(): Promise<TaskChange>;
}
