import type { Clock } from "../clock.ts";
import type { Batching, CallerOptions, ModelAnswer, ModelCall, ModelCaller } from "../model.ts";

/** What a batcher sends joined rows to. */
export interface BatchTarget {
  /** How many calls it works on at a time. */
  readonly capacity: number;
  send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer>;
}

/** Joins the calls of a model. */
export class Batcher implements AsyncDisposable {
  readonly #target: BatchTarget;

  constructor(target: BatchTarget, _clock: Clock) {
    this.#target = target;
  }

  caller(_options: CallerOptions, _batching: Batching): ModelCaller {
    return {
      predict: (inputs, call) => this.#target.send(inputs, call),
      [Symbol.dispose]: () => undefined,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
