import { fileURLToPath } from "node:url";

import { MillraceError, ModelError } from "../errors.ts";
import type { AnyModel, Model, ModelRunner, RunnerContext, SpecOf } from "../model.ts";
import { checkModule, loadModule } from "./load-module.ts";
import { typed } from "./place.ts";

/** Options of `worker`. */
export interface WorkerOptions {
  /** Plain data for the model's `load`. */
  readonly settings?: unknown;
}

/**
 * A model in the worker itself: no hop, and while it computes nothing else does. For models that take well under a millisecond.
 * @param url `import.meta.resolve("./model.ts")`
 * @example
 * import type model from "./model.ts";
 * stream.infer(worker<typeof model>(import.meta.resolve("./model.ts")))
 */
export function worker<M extends AnyModel = Model>(url: string, options: WorkerOptions = {}): SpecOf<M> {
  const { settings } = options;
  return typed<M>({
    kind: "worker",
    description: { model: url },
    key: JSON.stringify([url, settings]),
    files: [fileURLToPath(new URL(url))],
    check: () => checkModule(url),
    load: (context) => loadInWorker(url, settings, context),
  });
}

/** What `worker` does, also for other places where there are no threads or processes to be. */
export async function loadInWorker(url: string, settings: unknown, { signal }: RunnerContext): Promise<ModelRunner> {
  const { model, identity, release } = await loadModule(url);
  try {
    await model.load?.({ settings, signal });
    if (model.warmUp !== undefined) await model.predict(model.warmUp, { signal });
  } catch (error) {
    release();
    throw error instanceof MillraceError ? error : new ModelError(identity, error);
  }
  return {
    identity,
    types: { inputs: model.inputs, outputs: model.outputs },
    capacity: 1,
    run: async (rows, call) => await model.predict(rows, { signal: call.signal }),
    [Symbol.asyncDispose]: async () => {
      try {
        await model.unload?.();
      } finally {
        release();
      }
    },
  };
}
