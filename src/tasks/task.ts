/** A task that is checked and can be run. Plain data, so that it can be sent to a worker. It holds secrets: never log it whole. */
export interface TaskDefinition {
  /** `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`. */
  readonly id: string;
  /** The product's name. */
  readonly product: string;
  /** The product's folder, absolute, without links. */
  readonly folder: string;
  /**
   * A fingerprint of the product's files when they were last read (at start and at each reload). A process that has
   * imported the product with another fingerprint holds old code: it can't run this task.
   */
  readonly code: string;
  /** Pipelines of this task over all workers: 1 to 1,000. */
  readonly instances: number;
  /** A task that is not enabled is checked like any other and does not run. */
  readonly enabled: boolean;
  /** As it was written, with `${env:…}` and `${file:…}` replaced, not yet parsed by the product's schema. */
  readonly config: unknown;
  /** The texts within `config` that must never be shown; see `redact`. */
  readonly secrets: readonly string[];
  /** The file and line, or row, that it comes from. Not part of what makes a task changed. */
  readonly where: string;
  /** What its plan allows but likely does not mean. */
  readonly warnings: readonly string[];
  /** Whether its plan has state that is kept in checkpoints. */
  readonly keepsCheckpoints: boolean;
  /** The steps of its plan that keep something of earlier events. */
  readonly statefulSteps: readonly string[];
  /** Absolute paths of the files of its plan's models, whose changes these follow by themselves. */
  readonly modelFiles: readonly string[];
}

/** A task, or a place of a task store, that can't be used. Holds no secret. */
export interface InvalidTask {
  /** As given, even when it is no valid id or is taken by another task; the place when there is none. */
  readonly id: string;
  readonly product: string | undefined;
  /** The file and line, or row, that is at fault. */
  readonly where: string;
  /** What is wrong, with the path within the task, and what would be right. All of it, not just the first. */
  readonly reason: string;
  /**
   * True when a task of this id is among the valid ones all the same: a mistaken edit stops nothing that runs, so the
   * task goes on as it was last read; or the id is taken twice, and the first one has it.
   */
  readonly replaced: boolean;
}

/** A product that could be imported. */
export interface ProductInfo {
  readonly name: string;
  /** Absolute, without links. */
  readonly folder: string;
  readonly description?: string;
  /** JSON Schema of a task's config; undefined when the product's schema has no such form. */
  readonly schema?: unknown;
}

/** A product that can't be used. The others are not harmed. */
export interface BrokenProduct {
  readonly name: string;
  /** The file that is at fault, with the line where it is known. */
  readonly file: string;
  readonly reason: string;
}

/** A task store that can't be read. Its tasks stay as they were last read; it is tried again with back-off. */
export interface AwayStore {
  /** `files /etc/millrace/tasks`, `redis millrace:tasks at redis://…`; without passwords. */
  readonly store: string;
  readonly reason: string;
  /** Whether it was read before, so that its tasks are known. */
  readonly known: boolean;
  /** Whether an answer may still come: it was asked, and nothing has failed. */
  readonly silent: boolean;
}

/** Everything known of products and tasks at one moment. */
export interface TaskSet {
  /** By id, in the order of the stores. */
  readonly valid: ReadonlyMap<string, TaskDefinition>;
  readonly invalid: readonly InvalidTask[];
  readonly products: readonly ProductInfo[];
  readonly brokenProducts: readonly BrokenProduct[];
  readonly awayStores: readonly AwayStore[];
  /** Ids of tasks whose check takes long. Until it is done they are as they were: valid as last read, or not there yet. */
  readonly pending: readonly string[];
}

/** How one task set differs from the one before. All lists are empty when only faults changed. */
export interface TaskChange {
  readonly added: readonly TaskDefinition[];
  /** As they are now. */
  readonly changed: readonly TaskDefinition[];
  /** As they were. */
  readonly removed: readonly TaskDefinition[];
  /** The set after the change. */
  readonly set: TaskSet;
}

/** What an id of a task may look like: it becomes part of file names, consumer names and keys. */
export const TASK_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** What a name of a product may look like. */
export const PRODUCT_NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** The most instances that a task may have. */
export const MOST_INSTANCES = 1000;
