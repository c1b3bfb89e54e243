import type { Clock } from "../clock.ts";
import type { ModelStats } from "../model-stats.ts";
import { countQueued } from "../model-stats.ts";
import type { Batching, CallerOptions, ModelAnswer, ModelCall, ModelCaller } from "../model.ts";

/** What a batcher sends joined rows to. */
export interface BatchTarget {
  /** How many calls it works on at a time. */
  readonly capacity: number;
  /** Where the time that calls waited is counted: of the version that is sent to next. */
  readonly stats: ModelStats;
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
      predict: (inputs, call) => {
        countQueued(this.#target.stats, 0);
        return this.#target.send(inputs, call);
      },
      [Symbol.dispose]: () => undefined,
    };
  }

  /** Rows that wait for their turn now. */
  get queued(): number {
    return 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
