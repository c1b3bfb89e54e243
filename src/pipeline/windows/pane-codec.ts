import type { Origin } from "../../batch.ts";
import { messageOf } from "../../errors.ts";
import type { ItemCodec } from "../state/item-log.ts";
import { numberOfOrigin } from "../state/origins.ts";
import { oddityIn } from "../state/plain-data.ts";
import { StateError } from "../state/step-state.ts";
import type { Pane } from "./pane.ts";

/** Windows as columns: what is alike in neighbours is small so. */
interface Columns {
  /** Each less the one before it. */
  readonly sequences: readonly number[];
  readonly keys: readonly (string | undefined)[];
  /** As they are: of times that are no whole numbers, differences would not be exact. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly counts: readonly number[];
  /** Each less the one before it. */
  readonly offsets: readonly number[];
  readonly bytes: readonly number[];
  /** Numbers of the origins. */
  readonly origins: readonly number[];
  /** What a fold keeps, or the values that are not saved yet. */
  readonly states: readonly unknown[];
  /** How many values were saved before; all zero for folds. */
  readonly saved: readonly number[];
}

/** Open windows as plain data for checkpoints. */
export class PaneCodec implements ItemCodec<Pane> {
  readonly #step: string;
  readonly #holds: "values" | "fold";
  /** Where records came from; most often all of a partition from the same place. */
  readonly origins: Origin[];

  constructor(step: string, holds: "values" | "fold", origins: readonly Origin[] = []) {
    this.#step = step;
    this.#holds = holds;
    this.origins = [...origins];
  }

  weight(pane: Pane): number {
    return this.#holds === "fold" ? 1 : 1 + pane.count - pane.saved;
  }

  encode(panes: readonly Pane[]): Columns {
    const states = panes.map((pane) => (this.#holds === "fold" ? pane.state : (pane.state as unknown[]).slice(pane.saved)));
    this.#check(states[0]);
    const columns = {
      sequences: differences(panes.map(({ sequence }) => sequence)),
      keys: panes.map(({ key }) => key),
      starts: panes.map(({ start }) => start),
      ends: panes.map(({ end }) => end),
      counts: panes.map(({ count }) => count),
      offsets: differences(panes.map(({ firstOffset }) => firstOffset)),
      bytes: panes.map(({ bytes }) => bytes),
      origins: panes.map(({ origin }) => numberOfOrigin(this.origins, origin)),
      states,
      saved: panes.map(({ saved }) => saved),
    };
    if (this.#holds === "values") for (const pane of panes) pane.saved = pane.count;
    return columns;
  }

  decode(block: unknown, panes: Map<number, Pane>, segment: number): void {
    const { keys, starts, ends, counts, bytes, origins, states, saved, ...rising } = block as Columns;
    const offsets = sums(rising.offsets);
    for (const [index, sequence] of sums(rising.sequences).entries()) {
      const count = counts[index] as number;
      const before = panes.get(sequence);
      const grown = (saved[index] as number) > 0 && before !== undefined;
      const state = grown ? extended(before.state as unknown[], states[index] as unknown[]) : states[index];
      panes.set(sequence, {
        key: keys[index],
        start: starts[index] as number,
        end: ends[index] as number,
        count,
        state,
        firstOffset: offsets[index] as number,
        bytes: bytes[index] as number,
        origin: this.origins[origins[index] as number] as Origin,
        open: "open",
        sequence,
        changed: 0,
        segment: grown ? before.segment : segment,
        saved: this.#holds === "values" ? count : 0,
      });
    }
  }

  /** Looks at one of many: they come from the same function. */
  #check(state: unknown): void {
    const shown = this.#holds === "values" ? (state as unknown[]).slice(0, 1) : state;
    const oddity = safely(() => oddityIn(shown, ""));
    if (oddity === undefined) return;
    const what = this.#holds === "values" ? "a value that a window holds" : "what the fold keeps";
    throw new StateError(
      `step "${this.#step}": ${what} can't be saved in a checkpoint (${oddity}); keep numbers, text, arrays and plain objects`,
    );
  }
}

function safely(look: () => string | undefined): string | undefined {
  try {
    return look();
  } catch (error) {
    return messageOf(error);
  }
}

function extended(values: unknown[], more: readonly unknown[]): unknown[] {
  for (const value of more) values.push(value);
  return values;
}

function differences(values: readonly number[]): number[] {
  let last = 0;
  return values.map((value) => {
    const difference = value - last;
    last = value;
    return difference;
  });
}

function sums(differences: readonly number[]): number[] {
  let sum = 0;
  return differences.map((difference) => (sum += difference));
}
