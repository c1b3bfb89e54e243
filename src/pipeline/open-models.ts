import { within } from "../clock.ts";
import type { OpenContext } from "../contracts.ts";
import { InfrastructureError, messageOf } from "../errors.ts";
import type { CallerOptions, ModelCaller, OpenModel, PlannedModel } from "../model.ts";

/** So long a model that a pipeline can do without may take to load before it does. Milliseconds. */
const PATIENCE = 60_000;

/**
 * Opens a model of a plan. One that the pipeline can do without, a shadow or a canary, keeps it from nothing: when that can't be loaded
 * it is told of, and each call of it fails.
 */
export async function openPlanned({ spec, options, need }: PlannedModel, context: OpenContext): Promise<OpenModel> {
  if (need === "needed") return await spec.open(context, options);
  const opening = spec.open({ ...context, waiting: () => undefined }, options);
  try {
    if (await within(opening, PATIENCE, context.clock)) return await opening;
    throw new InfrastructureError(`it was not loaded within ${PATIENCE / 1000} s`);
  } catch (error) {
    opening.then(
      (late) => late[Symbol.asyncDispose](),
      () => undefined,
    );
    if (context.signal.aborted) throw error;
    const reason = context.hide?.(messageOf(error)) ?? messageOf(error);
    context.logger.error({ step: options.step, reason }, "a model beside the one of its step can't be loaded: the task goes on without it");
    return new MissingModel(spec.kind, `step "${options.step}": the model could not be loaded: ${reason}`);
  }
}

/** In the place of a model that could not be loaded. */
class MissingModel implements OpenModel {
  readonly identity: OpenModel["identity"];
  readonly #reason: string;

  constructor(kind: string, reason: string) {
    this.identity = { name: kind, version: "not loaded" };
    this.#reason = reason;
  }

  caller({ maxInFlight }: CallerOptions): ModelCaller {
    return {
      maxInFlight,
      predict: () => Promise.reject(new InfrastructureError(this.#reason)),
      [Symbol.dispose]: () => undefined,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
