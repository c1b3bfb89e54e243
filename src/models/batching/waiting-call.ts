import type { Batching, ModelAnswer, ModelCall } from "../../model.ts";
import type { JoinedCall } from "./joined-call.ts";
import type { TurnTaker } from "./turns.ts";

/** Who is told what becomes of a call. */
export interface CallOwner {
  /** It was answered, refused or given up. */
  settled(call: WaitingCall): void;
  /** Its signal aborted; it is settled. */
  abandoned(call: WaitingCall): void;
}

/** A call, and who made it. */
export interface GivenCall {
  readonly inputs: readonly unknown[];
  readonly call: ModelCall;
  readonly taker: TurnTaker;
  readonly batching: Batching;
}

/** A call that waits for its turn, or has gone to the model behind that. */
export class WaitingCall {
  readonly inputs: readonly unknown[];
  readonly call: ModelCall;
  readonly taker: TurnTaker;
  readonly batching: Batching;
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
  readonly #owner: CallOwner;
  readonly #resolve: (answer: ModelAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #abort: () => void;
  #settled = false;

  constructor({ inputs, call, taker, batching }: GivenCall, now: number, owner: CallOwner) {
    this.inputs = inputs;
    this.call = call;
    this.taker = taker;
    this.batching = batching;
    this.bytes = bytesOf(call);
    this.charge = inputs.length;
    this.since = now;
    this.due = now;
    this.#owner = owner;
    ({ promise: this.answer, resolve: this.#resolve, reject: this.#reject } = Promise.withResolvers<ModelAnswer>());
    const { signal } = call;
    this.#abort = () => {
      this.reject(signal.reason);
      owner.abandoned(this);
    };
    signal.addEventListener("abort", this.#abort, { once: true });
  }

  get rows(): number {
    return this.inputs.length;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** It is to go once more, and alone. */
  isolate(now: number): void {
    this.shape = undefined;
    this.since = now;
    this.due = now;
    this.charge = 0;
  }

  resolve(answer: ModelAnswer): void {
    if (this.#settle()) this.#resolve(answer);
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.call.signal.removeEventListener("abort", this.#abort);
    this.#owner.settled(this);
    return true;
  }
}

function bytesOf({ events }: ModelCall): number {
  let bytes = 0;
  for (const { size } of events) bytes += size;
  return bytes;
}
