import type { Event } from "../../batch.ts";
import { Heap } from "../heap.ts";
import type { Pane, Panes } from "./pane.ts";
import type { Grouping, Windows } from "./windows.ts";
import { groupOf } from "./windows.ts";

/**
 * Windows that end with their n-th event or a time after their first event. An event beyond the end of a window that is
 * still open (the watermark has not reached it) begins the key's next window; an event goes into the oldest one that its
 * time allows.
 */
export class CountOrTimeWindows implements Windows {
  readonly #panes: Panes;
  readonly #grouping: Grouping;
  readonly #count: number;
  readonly #size: number;
  readonly #lateness: number;
  readonly #open = new Map<string | undefined, Pane[]>();
  readonly #closing = new Heap<Pane>(
    (a, b) => a.end < b.end || (a.end === b.end && a.sequence < b.sequence),
    (pane) => pane.open === "open",
  );

  constructor(panes: Panes, grouping: Grouping, limits: { readonly count: number; readonly size: number; readonly lateness: number }) {
    this.#panes = panes;
    this.#grouping = grouping;
    this.#count = limits.count;
    this.#size = limits.size;
    this.#lateness = limits.lateness;
  }

  get due(): number {
    const next = this.#closing.peek();
    return next === undefined ? Number.POSITIVE_INFINITY : next.end + this.#lateness;
  }

  add(event: Event, time: number, watermark: number, out: Event[]): "taken" | "late" {
    const key = groupOf(event, this.#grouping);
    const pane = this.#open.get(key)?.find((candidate) => time < candidate.end) ?? this.#begin(event, key, time, watermark);
    if (pane === undefined) return "late";
    this.#panes.add(pane, event);
    if (pane.count === this.#count) {
      this.#remove(pane);
      // Where its last event is behind the watermark, the result is not: it must not be late for the steps after.
      const reached = this.outputWatermark(watermark);
      out.push(this.#panes.close(pane, Math.max(time, reached), reached, time));
    }
    return "taken";
  }

  adopt(pane: Pane): void {
    const open = this.#open.get(pane.key);
    if (open === undefined) this.#open.set(pane.key, [pane]);
    else open.push(pane);
    this.#closing.push(pane);
  }

  advance(watermark: number, out: Event[]): void {
    while (this.due <= watermark) {
      const pane = this.#closing.pop();
      if (pane === undefined) return;
      this.#remove(pane);
      out.push(this.#panes.close(pane, pane.end - 1, pane.end - 1));
    }
  }

  outputWatermark(watermark: number): number {
    return watermark - this.#lateness;
  }

  #begin(event: Event, key: string | undefined, time: number, watermark: number): Pane | undefined {
    if (time + this.#size + this.#lateness <= watermark) return undefined;
    const pane = this.#panes.begin(event, key, time, time + this.#size);
    this.adopt(pane);
    return pane;
  }

  #remove(pane: Pane): void {
    const open = this.#open.get(pane.key) ?? [];
    if (open.length === 1) this.#open.delete(pane.key);
    else open.splice(open.indexOf(pane), 1);
  }
}
