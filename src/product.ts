import type { z } from "zod";

import type { Logger, TaskIdentity } from "./contracts.ts";
import type { Plan } from "./pipeline/plan.ts";

/** What a product's `pipeline` function gets. */
export interface PipelineContext<Config> {
  /** The task's config, checked and with its defaults filled in. */
  readonly config: Config;
  readonly task: TaskIdentity;
  readonly logger: Logger;
  /** Aborts when the instance ends, for whatever the product opened itself. */
  readonly signal: AbortSignal;
}

/** A task as a store or a product's own `tasks()` gives it, before it is checked. */
export interface TaskInput {
  readonly id: string;
  readonly product: string;
  readonly instances?: number;
  readonly enabled?: boolean;
  readonly config?: unknown;
}

/** A scenario: what its tasks can set, and how the pipeline of a task is built. */
export interface Product<Schema extends z.ZodType = z.ZodType> {
  /** The folder's name: `[a-z0-9][a-z0-9-]*`, at most 64 characters. */
  readonly name: string;
  /** One line for `list`. */
  readonly description?: string;
  /** The schema of a task's config. Use `z.strictObject` so that a misspelt key is an error. */
  readonly config: Schema;
  /** Builds the plan. Called for each instance of each task, and by `validate` and `graph`; it must not do the work itself. */
  pipeline(context: PipelineContext<z.output<Schema>>): Plan;
  /** Tasks that the product itself knows of, besides those of the task stores. Called at start and at each reload. */
  tasks?(context: { readonly signal: AbortSignal; readonly logger: Logger }): Promise<readonly Omit<TaskInput, "product">[]>;
}

/**
 * Defines a product: the default export of `products/NAME/index.ts`. It returns what it is given; its job is to type it.
 * @example
 * export default defineProduct({
 *   name: "doubler",
 *   config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
 *   pipeline: ({ config }) => from(source(config.input)).map(decode.json<number>).map((n) => n * 2).to(sink(config.output)),
 * });
 */
export function defineProduct<Schema extends z.ZodType>(product: Product<Schema>): Product<Schema> {
  return product;
}
