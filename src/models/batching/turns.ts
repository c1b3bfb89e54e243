import type { Batching } from "../../model.ts";
import { Heap } from "../../pipeline/heap.ts";
import type { WaitingCall } from "./waiting-call.ts";

/** A caller, as one who takes turns. */
export interface TurnTaker {
  readonly priority: number;
  readonly batching: Batching;
  /** Its calls, the oldest first. Changed by `Turns` alone. */
  readonly waiting: WaitingCall[];
  /** The rows that it has had, counted from those of the others when it began to wait. Changed by `Turns` alone. */
  served: number;
  /** Its place among those of its priority; undefined while it waits for nothing. Changed by `Turns` alone. */
  turn: Turn | undefined;
}

/** A place in the order of those who wait. */
export interface Turn {
  readonly taker: TurnTaker;
  /** The smaller goes first: `served` when it was made. */
  readonly at: number;
  /** Among equals the older. */
  readonly order: number;
}

/** So many shapes are remembered of which nothing waits. */
const SHAPES = 64;
/** So many batches in a row may go before a lower priority that waits; the next is its. */
const PASSED_AT_MOST = 15;

/**
 * Who is next. Calls of a higher priority go first, but for one batch in sixteen. Among equals the caller goes first that
 * has had the fewest rows (start-time fair queueing: Goyal, Vin, Cheng, SIGCOMM 1996): one that asks seldom is next when
 * it asks, whatever the others have waiting, and saves up no more than a batch.
 */
export class Turns {
  readonly #takers = new Set<TurnTaker>();
  /** Of the priorities of the takers, the highest first. */
  #levels: readonly Level[] = [];
  readonly #rowsOfShape = new Map<string, number>();
  #size = 0;
  #rows = 0;
  #bytes = 0;

  /** To be called before its first call. */
  join(taker: TurnTaker): void {
    this.#takers.add(taker);
    if (this.#levels.some(({ priority }) => priority === taker.priority)) return;
    this.#levels = [...this.#levels, new Level(taker.priority)].toSorted((a, b) => b.priority - a.priority);
  }

  /** To be called when no call of it waits. */
  leave(taker: TurnTaker): void {
    this.#takers.delete(taker);
    const left = new Set([...this.#takers].map(({ priority }) => priority));
    if (left.size < this.#levels.length) this.#levels = this.#levels.filter(({ priority }) => left.has(priority));
  }

  /** Calls that wait. */
  get size(): number {
    return this.#size;
  }

  get rows(): number {
    return this.#rows;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The rows that wait and could go with this call, its own among them. */
  rowsLike({ shape, rows }: WaitingCall): number {
    return shape === undefined ? rows : (this.#rowsOfShape.get(shape) ?? 0);
  }

  /** Puts a call behind those of its caller. */
  add(call: WaitingCall): void {
    call.taker.waiting.push(call);
    this.#added(call);
  }

  /** Puts a call before those of its caller. */
  putBack(call: WaitingCall): void {
    call.taker.waiting.unshift(call);
    this.#added(call);
  }

  #added(call: WaitingCall): void {
    this.#count(call, 1);
    this.#levels.find(({ priority }) => priority === call.taker.priority)?.enter(call.taker);
  }

  /** Takes a call out that is not wanted any more, if it waits. */
  remove(call: WaitingCall): void {
    const { taker } = call;
    const index = taker.waiting.indexOf(call);
    if (index < 0) return;
    taker.waiting.splice(index, 1);
    if (taker.waiting.length === 0) taker.turn = undefined;
    this.#count(call, -1);
  }

  /**
   * Takes out the calls that go to the model together: the first in order that `ready` holds for, and in order those of its shape
   * that fit in, so that there are not more rows than any of them allows. A call with more rows than that goes alone. What waits
   * only because the model was busy is spread over all calls that it takes: else one would have it all, and the others nothing.
   * @param capacity how many calls the model takes at a time
   */
  take(ready: (call: WaitingCall) => boolean, capacity: number): readonly WaitingCall[] {
    const levels = this.#inOrder();
    for (const level of levels) {
      const aside: Turn[] = [];
      const lead = level.next(aside, ({ waiting }) => waiting.find(ready));
      if (lead === undefined) {
        level.returned(aside);
        continue;
      }
      this.#led(level);
      const { maxSize, maxDelay } = lead.batching;
      const share = maxDelay > 0 ? maxSize : Math.ceil(this.rowsLike(lead) / Math.max(1, capacity));
      this.#count(lead, -1);
      level.returned(aside);
      return this.#filled(lead, Math.min(maxSize, share), [level, ...levels.filter((other) => other !== level)]);
    }
    return [];
  }

  #filled(lead: WaitingCall, most: number, levels: readonly Level[]): readonly WaitingCall[] {
    const batch = [lead];
    const { shape } = lead;
    if (shape === undefined) return batch;
    let limit = most;
    let total = lead.rows;
    const fitting = ({ waiting }: TurnTaker) => {
      const call = waiting.find((candidate) => candidate.shape === shape);
      return call !== undefined && total + call.rows <= Math.min(limit, call.batching.maxSize) ? call : undefined;
    };
    for (const level of levels) {
      const aside: Turn[] = [];
      while (total < limit) {
        const call = level.next(aside, fitting);
        if (call === undefined) break;
        this.#count(call, -1);
        batch.push(call);
        total += call.rows;
        limit = Math.min(limit, call.batching.maxSize);
      }
      level.returned(aside);
    }
    return batch;
  }

  /** All calls that wait, of all callers. */
  *calls(): Generator<WaitingCall> {
    for (const { waiting } of this.#takers) yield* waiting;
  }

  #count({ shape, rows, bytes }: WaitingCall, sign: 1 | -1): void {
    this.#size += sign;
    this.#rows += sign * rows;
    this.#bytes += sign * bytes;
    if (shape === undefined) return;
    const like = (this.#rowsOfShape.get(shape) ?? 0) + sign * rows;
    // Most come again soon: a Map whose entries come and go would be made anew every few calls.
    if (like === 0 && this.#rowsOfShape.size > SHAPES) this.#rowsOfShape.delete(shape);
    else this.#rowsOfShape.set(shape, like);
  }

  /** Those that have calls, the one first that has been passed over often enough. */
  #inOrder(): readonly Level[] {
    const busy = this.#levels.filter((level) => level.busy);
    const due = busy.find(({ passed }) => passed >= PASSED_AT_MOST);
    return due === undefined ? busy : [due, ...busy.filter((level) => level !== due)];
  }

  #led(leading: Level): void {
    for (const level of this.#levels) {
      if (level === leading) level.passed = 0;
      else if (level.priority < leading.priority && level.busy) level.passed += 1;
    }
  }
}

/** The callers of one priority. */
class Level {
  readonly priority: number;
  /** Batches of a higher one since its last. */
  passed = 0;
  readonly #turns = new Heap<Turn>(isBefore, (turn) => turn.taker.turn === turn);
  /** The least that one who waits here has had. */
  #time = 0;
  #order = 0;

  constructor(priority: number) {
    this.priority = priority;
  }

  get busy(): boolean {
    return this.#turns.peek() !== undefined;
  }

  enter(taker: TurnTaker): void {
    if (taker.turn !== undefined) return;
    // One that has had less than the others may save up one batch: else each of many others would go before it.
    taker.served = Math.max(taker.served, this.#time - taker.batching.maxSize);
    this.#push(taker);
  }

  /** Takes the first call in order that is wanted; turns of callers that have none are put aside. */
  next(aside: Turn[], wanted: (taker: TurnTaker) => WaitingCall | undefined): WaitingCall | undefined {
    for (let turn = this.#turns.pop(); turn !== undefined; turn = this.#turns.pop()) {
      const { taker, at } = turn;
      const call = wanted(taker);
      if (call === undefined) {
        aside.push(turn);
        continue;
      }
      taker.waiting.splice(taker.waiting.indexOf(call), 1);
      this.#time = Math.max(this.#time, at);
      taker.served = at + call.charge;
      taker.turn = undefined;
      if (taker.waiting.length > 0) this.#push(taker);
      return call;
    }
    return undefined;
  }

  returned(aside: readonly Turn[]): void {
    for (const turn of aside) this.#turns.push(turn);
  }

  #push(taker: TurnTaker): void {
    taker.turn = { taker, at: taker.served, order: this.#order++ };
    this.#turns.push(taker.turn);
  }
}

function isBefore(a: Turn, b: Turn): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
