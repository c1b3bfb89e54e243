import type { Call } from "./call.ts";
import type { Lane } from "./lane.ts";

/** The calls that wait for a lane, and which lane they go to. */
export class WaitingCalls {
  readonly #maxInFlight: number;
  #queue: Call[] = [];
  /** Calls whose lane died: each is tried alone, so that no other is blamed for its end. */
  #suspects: Call[] = [];

  /** @param maxInFlight calls in one lane at a time */
  constructor(maxInFlight: number) {
    this.#maxInFlight = maxInFlight;
  }

  add(call: Call): void {
    this.#queue.push(call);
  }

  /** Takes back what was in a lane that died; it goes before all others. */
  suspect(calls: readonly Call[]): void {
    this.#suspects.unshift(...calls);
  }

  /** Those that are not answered yet. */
  *unanswered(): Iterable<Call> {
    for (const call of [...this.#suspects, ...this.#queue]) if (!call.answered) yield call;
  }

  /** Gives each lane what it can take, oldest first: to be sent with its next message. */
  distribute(lanes: readonly Lane[]): void {
    const reserved = this.#giveSuspect(lanes);
    const queue = this.#queue;
    let kept = 0;
    for (const call of queue) {
      if (call.answered) continue;
      const lane = this.#leastLoaded(lanes, call.entry, reserved);
      if (lane === undefined) queue[kept++] = call;
      else lane.outgoing.push(call);
    }
    queue.length = kept;
  }

  /** While there are suspects, one lane is kept for them. @returns that lane */
  #giveSuspect(lanes: readonly Lane[]): Lane | undefined {
    if (this.#suspects.length === 0) return undefined;
    this.#suspects = this.#suspects.filter((call) => !call.answered);
    const [suspect] = this.#suspects;
    if (suspect === undefined) return undefined;
    let least: Lane | undefined;
    for (const lane of lanes) {
      if (lane.loaded.has(suspect.entry) && (least === undefined || lane.load < least.load)) least = lane;
    }
    if (least?.load === 0) {
      this.#suspects.shift();
      least.exclusive = suspect;
      least.outgoing.push(suspect);
    }
    return least;
  }

  #leastLoaded(lanes: readonly Lane[], entry: number, reserved: Lane | undefined): Lane | undefined {
    let least: Lane | undefined;
    let load = this.#maxInFlight;
    for (const lane of lanes) {
      if (lane.load >= load || lane === reserved || lane.exclusive !== undefined || !lane.loaded.has(entry)) continue;
      least = lane;
      load = lane.load;
    }
    return least;
  }
}
