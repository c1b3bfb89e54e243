import type { Position } from "../batch.ts";
import type { Delivery } from "./delivery.ts";

/**
 * What was read and not yet acknowledged, in the order in which it was read, each with the position whose commit
 * acknowledges it. Those positions never fall, also where the server delivered something again that is older.
 */
export class Held {
  #deliveries: Delivery[] = [];
  #positions: Position[] = [];
  #first = 0;

  get size(): number {
    return this.#deliveries.length - this.#first;
  }

  add(delivery: Delivery, position: Position): void {
    this.#deliveries.push(delivery);
    this.#positions.push(position);
  }

  /** Takes out everything that is done when `position` is committed. */
  release(position: Position): readonly Delivery[] {
    const from = this.#first;
    while (this.#first < this.#positions.length && (this.#positions[this.#first] as Position) <= position) this.#first++;
    const released = this.#deliveries.slice(from, this.#first);
    // Moving the rest down costs as much as it frees when half is free.
    if (this.#first * 2 >= this.#deliveries.length) {
      this.#deliveries = this.#deliveries.slice(this.#first);
      this.#positions = this.#positions.slice(this.#first);
      this.#first = 0;
    }
    return released;
  }

  *[Symbol.iterator](): Generator<Delivery> {
    for (let index = this.#first; index < this.#deliveries.length; index++) yield this.#deliveries[index] as Delivery;
  }
}
