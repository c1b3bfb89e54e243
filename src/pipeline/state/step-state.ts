import type { Barrier } from "../../batch.ts";
import type { StepMemory } from "../../contracts.ts";
import { messageOf, MillraceError } from "../../errors.ts";
import type { ItemCodec, LogDelta, Segment, Tracked } from "./item-log.ts";
import { ItemLog } from "./item-log.ts";
import { packState, unpackState } from "./plain-data.ts";

/** What a step keeps can't be saved: it would not come back as it was. */
export class StateError extends MillraceError {
  override readonly name = "StateError";
}

/** A step's state as of a barrier. */
export interface StepDelta {
  /** Its value, packed. */
  readonly value: Uint8Array;
  readonly log: LogDelta;
}

/** A step's state as it was saved. */
export interface SavedStep {
  readonly value: Uint8Array;
  readonly segments: AsyncIterable<Segment>;
}

/** A barrier to which steps add their state. Only what made the barriers of a run reads it. */
export class StateBarrier implements Barrier {
  readonly number: number;
  readonly parts = new Map<string, Promise<StepDelta>>();

  constructor(number: number) {
    this.number = number;
  }
}

/** One step's part in the checkpoints of a partition: a value that is saved whole, and a log of items for what is large. */
export class StepState implements StepMemory {
  readonly step: string;
  readonly restored: unknown;
  readonly #saved: SavedStep | undefined;

  constructor(step: string, saved: SavedStep | undefined) {
    this.step = step;
    this.#saved = saved;
    this.restored = saved === undefined ? undefined : unpackState(saved.value);
  }

  save(barrier: Barrier, state: unknown): void {
    this.#add(barrier, Promise.resolve({ value: this.#pack(state), log: { added: [], dropped: [] } }));
  }

  /** Makes the log of the step's items, with those that were saved in the order of their sequence. */
  async items<I extends Tracked>(codec: ItemCodec<I>): Promise<{ readonly log: ItemLog<I>; readonly items: readonly I[] }> {
    const log = new ItemLog(codec);
    const items = this.#saved === undefined ? [] : await log.restore(this.#saved.segments);
    log.start();
    return { log, items };
  }

  /**
   * The same as `save`, with the items of a log.
   * @param alive the weight of all items that are open
   * @param state what is saved beside them, asked for when they are encoded
   */
  saveItems<I extends Tracked>(barrier: Barrier, log: ItemLog<I>, alive: number, state: () => unknown): void {
    this.#add(
      barrier,
      log.barrier(alive).then((delta) => ({ value: this.#pack(state()), log: delta })),
    );
  }

  #add(barrier: Barrier, delta: Promise<StepDelta>): void {
    if (!(barrier instanceof StateBarrier))
      throw new StateError(`step "${this.step}": it saved its state for a barrier that it did not get`);
    // Looked at when the barrier has come to the end.
    delta.catch(() => undefined);
    barrier.parts.set(this.step, delta);
  }

  #pack(state: unknown): Uint8Array {
    try {
      return packState(state);
    } catch (error) {
      throw new StateError(
        `step "${this.step}": its state can't be saved: ${messageOf(error)}; keep numbers, text, arrays and plain objects`,
        {
          cause: error,
        },
      );
    }
  }
}
