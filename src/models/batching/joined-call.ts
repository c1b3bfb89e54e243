import type { Event } from "../../batch.ts";
import type { ModelAnswer, ModelCall } from "../../model.ts";
import type { WaitingCall } from "./waiting-call.ts";

/** Several calls as one of the model. */
export class JoinedCall implements ModelCall {
  readonly rows: readonly unknown[];
  readonly until: number;
  readonly joined: number;
  readonly #calls: readonly WaitingCall[];
  #events: readonly Event[] | undefined;
  #controller: AbortController | undefined;

  constructor(calls: readonly WaitingCall[]) {
    this.#calls = calls;
    this.joined = calls.length;
    this.rows = together(calls.map(({ inputs }) => inputs));
    this.until = calls.reduce((latest, { call }) => Math.max(latest, call.until), 0);
  }

  /** Most places need no events, so they are put together when they are asked for. */
  get events(): readonly Event[] {
    this.#events ??= together(this.#calls.map(({ call }) => call.events));
    return this.#events;
  }

  /** Aborts when nobody waits for any of the answers. */
  get signal(): AbortSignal {
    const { signal } = (this.#calls[0] as WaitingCall).call;
    if (this.#calls.every(({ call }) => call.signal === signal)) return signal;
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.abandonIfUnwanted();
    }
    return this.#controller.signal;
  }

  /** To be called when one of its calls was given up. */
  abandonIfUnwanted(): void {
    if (this.#calls.every(({ settled }) => settled)) this.#controller?.abort((this.#calls.at(-1) as WaitingCall).call.signal.reason);
  }

  /** Gives each call its own outputs. */
  answer({ outputs, identity }: ModelAnswer): void {
    let from = 0;
    for (const call of this.#calls) {
      const to = from + call.rows;
      call.resolve({ outputs: part(outputs, from, to), identity });
      from = to;
    }
  }
}

/** As `flat` gives it, in a tenth of the time. */
function together<T>(arrays: readonly (readonly T[])[]): T[] {
  const all: T[] = [];
  for (const array of arrays) for (const item of array) all.push(item);
  return all;
}

/** An array, or a typed array that shares its memory with the whole. */
function part(outputs: ArrayLike<unknown>, from: number, to: number): ArrayLike<unknown> {
  return ArrayBuffer.isView(outputs) ? (outputs as Float64Array).subarray(from, to) : Array.prototype.slice.call(outputs, from, to);
}
