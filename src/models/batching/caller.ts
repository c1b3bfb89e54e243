import type { Batching, CallerOptions, ModelAnswer, ModelCall, ModelCaller } from "../../model.ts";
import type { Turn, TurnTaker } from "./turns.ts";
import type { WaitingCall } from "./waiting-call.ts";

/** What does the work of callers. */
export interface CallerOwner {
  ask(caller: Caller, inputs: readonly unknown[], call: ModelCall): Promise<ModelAnswer>;
  /** Whether as much waits for the model as this caller allows, or as much of its own is under way as keeps the model busy. */
  isFull(caller: Caller): boolean;
  left(caller: Caller): void;
}

/** One partition's step among those that ask a model. */
export class Caller implements ModelCaller, TurnTaker {
  readonly name: string;
  readonly priority: number;
  readonly batching: Batching;
  readonly waiting: WaitingCall[] = [];
  served = 0;
  turn: Turn | undefined;
  readonly #maxInFlight: number;
  readonly #owner: CallerOwner;
  /** The rows of its calls that are not answered yet. */
  rows = 0;
  /** Calls that are not answered yet. */
  #outstanding = 0;
  #left = false;

  constructor({ name, priority, maxInFlight }: CallerOptions, batching: Batching, owner: CallerOwner) {
    this.name = name;
    this.priority = priority;
    this.batching = batching;
    this.#maxInFlight = maxInFlight;
    this.#owner = owner;
  }

  get maxInFlight(): number {
    return this.#owner.isFull(this) ? 1 : this.#maxInFlight;
  }

  /** How many more calls can come from it before one is answered. */
  get openings(): number {
    return this.#left ? 0 : Math.max(0, this.#maxInFlight - this.#outstanding);
  }

  began(rows: number): void {
    this.#outstanding += 1;
    this.rows += rows;
  }

  ended(rows: number): void {
    this.#outstanding -= 1;
    this.rows -= rows;
  }

  predict(inputs: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    return this.#owner.ask(this, inputs, call);
  }

  [Symbol.dispose](): void {
    if (this.#left) return;
    this.#owner.left(this);
    this.#left = true;
  }
}
