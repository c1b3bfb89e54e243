import type { Position } from "../../src/batch.ts";
import type { Expected } from "./clean-run.ts";
import { idOf } from "./clean-run.ts";
import type { Kept, Outputs } from "./outputs.ts";
import type { Scenario } from "./scenario.ts";
import { isUnordered } from "./shape.ts";
import type { SharedStore } from "./store.ts";
import type { World } from "./world.ts";

/** Looks at a run while it goes on and when it is over, from outside: it knows the brokers, the store and the outputs, and nothing of the engine. */
export class Judge {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #expected: Expected;
  readonly #outputs: Outputs;
  readonly #store: SharedStore | undefined;
  /** What must be kept outside before the position behind it is done, by partition, in the order of offsets. */
  readonly #due: ReadonlyMap<number, readonly Kept[]>;
  readonly #seen = new Set<string>();
  #looked = 0;
  /** The highest position that a checkpoint was saved for, by partition. */
  readonly #saved = new Map<number, Position>();

  constructor(scenario: Scenario, world: World, expected: Expected, outputs: Outputs, store: SharedStore | undefined) {
    this.#scenario = scenario;
    this.#world = world;
    this.#expected = expected;
    this.#outputs = outputs;
    this.#store = store;
    this.#due = dueOf(scenario, expected);
  }

  /** A position was committed. */
  committed(partition: number, position: Position): void {
    if (this.#store === undefined) {
      this.#mustBeKept(partition, position, "committed");
      return;
    }
    const saved = this.#saved.get(partition);
    if (saved === undefined || position > saved) {
      this.#world.violate("no commit before the checkpoint", `${partition}@${position} was committed, and saved is ${saved ?? "nothing"}`);
    }
  }

  /** A checkpoint was saved. */
  saved(partition: number, position: Position, fenced: boolean): void {
    if (fenced) this.#world.violate("who lost a partition saves nothing", `${partition}@${position} was saved by a former owner`);
    this.#saved.set(partition, Math.max(position, this.#saved.get(partition) ?? 0));
    this.#mustBeKept(partition, position, "saved");
  }

  /** A message of the queue was acknowledged. */
  acknowledged(sequence: number): void {
    this.#mustBeKept(0, sequence + 1, "acknowledged", sequence);
  }

  #mustBeKept(partition: number, position: Position, what: string, from: Position = 0): void {
    this.#look();
    for (const kept of this.#due.get(partition) ?? []) {
      if (kept.offset >= position) return;
      if (kept.offset >= from && !this.#seen.has(idOf(kept))) {
        this.#world.violate("nothing is done before it is confirmed", `${partition}@${position} is ${what}, and missing is ${idOf(kept)}`);
        return;
      }
    }
  }

  #look(): void {
    const { all } = this.#outputs;
    for (; this.#looked < all.length; this.#looked++) this.#seen.add(idOf(all[this.#looked] as Kept));
  }

  /** Everything has ended. */
  conclude(): void {
    const { all } = this.#outputs;
    const found = new Map<string, Kept>();
    let repeats = 0;
    for (const kept of all) {
      const id = idOf(kept);
      if (found.has(id)) repeats += 1;
      else found.set(id, kept);
      const expected = this.#expected.byId.get(id);
      if (expected === undefined) this.#world.violate("no phantoms", `${id} is in no undisturbed run: ${kept.shown}`);
      else if (expected.shown !== kept.shown) {
        this.#world.violate("results are those of an undisturbed run", `${id} is ${kept.shown} and not ${expected.shown}`);
      }
    }
    for (const [id, kept] of this.#expected.byId) {
      if (!found.has(id)) this.#world.violate("nothing is lost", `${id} is missing: ${kept.shown}`);
    }
    if (this.#scenario.mood === "calm" && repeats > 0) {
      this.#world.violate("a planned stop gives no repeats", `${repeats} repeats`);
    }
    if (this.#scenario.kind === "log" && !isUnordered(this.#scenario.shape)) this.#checkOrder(found.values());
  }

  /** First deliveries come in the order of an undisturbed run, key by key. */
  #checkOrder(firsts: Iterable<Kept>): void {
    const places = new Map<string, number>();
    for (const id of this.#expected.byId.keys()) places.set(id, places.size);
    const last = new Map<string, Kept>();
    for (const kept of firsts) {
      if (kept.where === "letters") continue;
      const row = `${kept.where} ${kept.partition} ${kept.key ?? ""}`;
      const before = last.get(row);
      if (before !== undefined && (places.get(idOf(before)) ?? 0) > (places.get(idOf(kept)) ?? 0)) {
        this.#world.violate("keys keep their order", `${idOf(kept)} came after ${idOf(before)}`);
      }
      last.set(row, kept);
    }
  }
}

/** Letters, what came late, and results of single events: what is due when its position is done. Results of windows come later. */
function dueOf({ shape, input }: Scenario, { byId }: Expected): ReadonlyMap<number, readonly Kept[]> {
  const due = new Map<number, Kept[]>([...input.keys()].map((partition) => [partition, []]));
  for (const kept of byId.values()) {
    const single = kept.where === "letters" || (kept.where === "late" && !shape.second) || shape.grouping === "none";
    if (single) due.get(kept.partition)?.push(kept);
  }
  for (const all of due.values()) all.sort((a, b) => a.offset - b.offset);
  return due;
}
