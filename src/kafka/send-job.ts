import type { InBag } from "../bag.ts";
import { onAbort } from "../on-abort.ts";
import type { Lane } from "./lane.ts";

/** One call of `send`: settles when all of its records are confirmed, or when the first of them can't be. */
export class SendJob implements InBag {
  slot = 0;
  /** Bytes that its records take up until it is settled. */
  readonly bytes: number;
  readonly done: Promise<void>;
  readonly #unwatch: () => void;
  readonly #released: (job: SendJob) => void;
  readonly #lanes: Lane[] = [];
  #remaining: number;
  #settled = false;
  #resolve!: () => void;
  #reject!: (reason: unknown) => void;

  /** @param released called once, when it is settled */
  constructor(count: number, bytes: number, signal: AbortSignal, released: (job: SendJob) => void) {
    this.bytes = bytes;
    this.#remaining = count;
    this.#released = released;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#unwatch = onAbort(signal, () => this.fail(signal.reason));
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Remembers where records of it are, to tell when nobody waits for them any more. */
  joins(lane: Lane): void {
    this.#lanes.push(lane);
  }

  written(count: number): void {
    this.#remaining -= count;
    if (this.#remaining > 0 || this.#settled) return;
    this.#settle();
    this.#resolve();
  }

  fail(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#reject(error);
    for (const lane of this.#lanes) lane.jobSettled();
  }

  #settle(): void {
    this.#settled = true;
    this.#unwatch();
    this.#released(this);
  }
}
