import { MillraceError, ModelError } from "../errors.ts";
import type { AnyModel, Model, ModelRunner, RunnerContext, SpecOf } from "../model.ts";
import { onAbort } from "../on-abort.ts";
import { checkRows } from "../pipeline/infer.ts";
import { checkModule, loadModule, modelFile } from "./load-module.ts";
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
    files: [modelFile("worker", url)],
    check: () => checkModule(url),
    load: (context) => loadInWorker(url, settings, context),
  });
}

/** What `worker` does, also for other places where there are no threads or processes to be. */
export async function loadInWorker(url: string, settings: unknown, { signal }: RunnerContext): Promise<ModelRunner> {
  const { model, identity, release } = await loadModule(url);
  try {
    await model.load?.({ settings, signal });
    if (model.warmUp !== undefined) checkRows(await model.predict(model.warmUp, { signal }), model.warmUp.length);
  } catch (error) {
    release();
    throw error instanceof MillraceError ? error : new ModelError(identity, error);
  }
  return {
    identity,
    types: { inputs: model.inputs, outputs: model.outputs },
    capacity: 1,
    run: async (rows, { signal: given }) => await unlessAborted(model.predict(rows, { signal: given }), given),
    [Symbol.asyncDispose]: async () => {
      try {
        await model.unload?.();
      } finally {
        release();
      }
    },
  };
}

/** What never settles must not keep its place when nobody waits for it any more. */
function unlessAborted<T>(answer: T | PromiseLike<T>, signal: AbortSignal): T | Promise<T> {
  if (typeof answer !== "object" || answer === null || !("then" in answer)) return answer;
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason as Error);
    const settled = onAbort(signal, giveUp);
    answer.then(
      (value) => {
        settled();
        resolve(value);
      },
      (error: unknown) => {
        settled();
        // Whatever it threw, as it was.
        // oxlint-disable-next-line prefer-promise-reject-errors
        reject(error);
      },
    );
  });
}
