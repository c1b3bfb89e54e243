import type { CheckpointStoreSettings } from "../checkpoint-settings.ts";
import { lockFolder } from "../checkpoints/folder-lock.ts";
import type { TaskDefinition } from "../tasks/task.ts";

/** Keeps a second supervisor from the folder of checkpoints, once a task needs it. Other stores serve many supervisors. */
export class CheckpointLock implements AsyncDisposable {
  readonly #store: CheckpointStoreSettings;
  #held: AsyncDisposable | undefined;

  constructor(store: CheckpointStoreSettings) {
    this.#store = store;
  }

  /** Whether the task can't run without the lock. */
  needs({ keepsCheckpoints, enabled }: TaskDefinition): boolean {
    return "file" in this.#store && keepsCheckpoints && enabled;
  }

  /**
   * Takes the lock if one of the tasks needs it, and keeps it.
   * @throws {ConfigError} when another supervisor has it
   */
  async forTasks(tasks: Iterable<TaskDefinition>): Promise<void> {
    if (this.#held !== undefined || !("file" in this.#store) || ![...tasks].some((task) => this.needs(task))) return;
    this.#held = await lockFolder(this.#store.file.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held?.[Symbol.asyncDispose]();
    this.#held = undefined;
  }
}
