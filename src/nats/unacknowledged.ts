import type { Position } from "../batch.ts";
import type { Delivery } from "./delivery.ts";

/**
 * What an owner was delivered and did not acknowledge, in the order of the stream. Windows hold messages for long, so only
 * two numbers are kept of each; the reply subject of any of them can be made from those.
 */
export class Unacknowledged {
  #sequences: number[] = [];
  #consumerSequences: number[] = [];
  #first = 0;
  #prefix = "";
  #suffix = "";

  get size(): number {
    return this.#sequences.length - this.#first;
  }

  add(delivery: Delivery): void {
    if (this.#prefix === "") {
      const tokens = delivery.reply.split(".");
      const count = tokens.length === 9 ? 4 : 6;
      this.#prefix = tokens.slice(0, count).join(".");
      this.#suffix = tokens.slice(count + 3).join(".");
    }
    this.#sequences.push(delivery.sequence);
    this.#consumerSequences.push(delivery.consumerSequence);
  }

  /** Forgets everything before `position`. @returns the last of it, and where to acknowledge it with all before it; undefined when there is nothing */
  release(position: Position): { readonly sequence: number; readonly reply: string } | undefined {
    const from = this.#first;
    while (this.#first < this.#sequences.length && (this.#sequences[this.#first] as number) < position) this.#first++;
    if (this.#first === from) return undefined;
    const last = this.#first - 1;
    const sequence = this.#sequences[last] as number;
    const reply = `${this.#prefix}.1.${sequence}.${this.#consumerSequences[last]}.${this.#suffix}`;
    // Moving the rest down costs as much as it frees when half is free.
    if (this.#first * 2 >= this.#sequences.length) {
      this.#sequences = this.#sequences.slice(this.#first);
      this.#consumerSequences = this.#consumerSequences.slice(this.#first);
      this.#first = 0;
    }
    return { sequence, reply };
  }
}
