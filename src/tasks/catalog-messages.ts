/**
 * Every message between the process that manages the tasks and the one that runs product code for it. They travel over
 * Node's IPC channel as structured clones, so they are plain data. `check` holds secrets.
 */
import type { Fault } from "../errors.ts";
import type { TaskDefinition } from "./task.ts";

/** What the child is asked. One question at a time; each has one answer. */
export type Question =
  /** Import a product. */
  | { readonly type: "load"; readonly folder: string }
  /** Call a product's own `tasks()`. */
  | { readonly type: "tasks"; readonly folder: string }
  /** Build the plan of a task. */
  | { readonly type: "check"; readonly task: TaskDefinition };

export type Answer =
  | {
      readonly type: "loaded";
      readonly description: string | undefined;
      readonly schema: unknown;
      /** Whether it has tasks of its own. */
      readonly hasTasks: boolean;
    }
  /** The product can't be imported, or its `tasks()` failed. */
  | { readonly type: "broken"; readonly fault: Fault }
  /** What `tasks()` gave. */
  | { readonly type: "tasks"; readonly tasks: readonly unknown[] }
  | {
      readonly type: "valid";
      readonly warnings: readonly string[];
      /** Whether its state is kept in checkpoints. */
      readonly keepsCheckpoints: boolean;
      /** The names of the steps that keep state. */
      readonly statefulSteps: readonly string[];
      /** The files of its models, as their places have them: relative ones count from the daemon's directory. */
      readonly modelFiles: readonly string[];
    }
  /** The task's plan can't be built. */
  | { readonly type: "invalid"; readonly reasons: readonly string[] };

/** From the parent. */
export interface Asked {
  readonly number: number;
  readonly question: Question;
}

/** From the child. */
export type FromCatalog =
  | { readonly type: "ready" }
  | { readonly type: "answer"; readonly number: number; readonly answer: Answer }
  /** The last message of a child in which an exception was not caught. */
  | { readonly type: "uncaught"; readonly what: string };
