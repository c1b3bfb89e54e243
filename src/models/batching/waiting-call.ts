import type { InBag } from "../../bag.ts";
import type { Batching, ModelAnswer, ModelCall } from "../../model.ts";
import type { Caller } from "./caller.ts";
import type { JoinedCall } from "./joined-call.ts";

/** A call that waits for its turn, or has gone to the model behind that. */
export class WaitingCall implements InBag {
  slot = 0;
  readonly inputs: readonly unknown[];
  readonly call: ModelCall;
  readonly taker: Caller;
  /** Of the records that its rows come from, as far as known. */
  readonly bytes: number;
  readonly answer: Promise<ModelAnswer>;
  /** The clock's `elapsed` when it came, or came back. */
  since: number;
  /** The clock's `elapsed` from which on it waits for no other. */
  due: number;
  /** What its rows must have in common with others; undefined: it goes alone. */
  shape: string | undefined = undefined;
  /** The rows that its caller is charged. */
  charge: number;
  /** What it is part of, while that is with the model. */
  joined: JoinedCall | undefined = undefined;
  settled = false;
  readonly #onSettled: (call: WaitingCall) => void;
  #resolve!: (answer: ModelAnswer) => void;
  #reject!: (error: unknown) => void;

  /** @param onSettled called once, when it is answered, refused or given up */
  constructor(taker: Caller, inputs: readonly unknown[], call: ModelCall, now: number, onSettled: (call: WaitingCall) => void) {
    this.taker = taker;
    this.inputs = inputs;
    this.call = call;
    this.bytes = bytesOf(call);
    this.since = now;
    this.due = now;
    this.charge = inputs.length;
    this.#onSettled = onSettled;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get rows(): number {
    return this.inputs.length;
  }

  get batching(): Batching {
    return this.taker.batching;
  }

  /** It is to go once more, and alone. */
  isolate(now: number): void {
    this.joined = undefined;
    this.shape = undefined;
    this.since = now;
    this.due = now;
    this.charge = 0;
  }

  /** Does nothing when it is settled, as when it was given up meanwhile. */
  resolve(answer: ModelAnswer): void {
    if (this.#settle()) this.#resolve(answer);
  }

  /** Does nothing when it is settled, as when it was given up meanwhile. */
  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#onSettled(this);
    return true;
  }
}

function bytesOf({ events }: ModelCall): number {
  let bytes = 0;
  for (const { size } of events) bytes += size;
  return bytes;
}
