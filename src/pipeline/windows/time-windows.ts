import type { Event } from "../../batch.ts";
import type { Pane, Panes } from "./pane.ts";
import type { Grouping, Windows } from "./windows.ts";
import { groupOf } from "./windows.ts";

/** All windows of one start, by key. */
interface Slice {
  readonly start: number;
  readonly panes: Map<string | undefined, Pane>;
}

/** Tumbling and sliding windows, aligned to the epoch. */
export class TimeWindows implements Windows {
  readonly #panes: Panes;
  readonly #grouping: Grouping;
  readonly #size: number;
  readonly #slide: number;
  readonly #lateness: number;
  readonly #slices = new Map<number, Slice>();
  /** Events of one time come together: the slice of the last one is most often the next one's. */
  #recent: Slice | undefined;
  due = Number.POSITIVE_INFINITY;

  constructor(panes: Panes, grouping: Grouping, size: number, slide: number, lateness: number) {
    this.#panes = panes;
    this.#grouping = grouping;
    this.#size = size;
    this.#slide = slide;
    this.#lateness = lateness;
  }

  add(event: Event, time: number, watermark: number): "taken" | "late" {
    let outcome: "taken" | "late" = "late";
    const key = groupOf(event, this.#grouping);
    for (let start = Math.floor(time / this.#slide) * this.#slide; start > time - this.#size; start -= this.#slide) {
      if (start + this.#size + this.#lateness <= watermark) break;
      outcome = "taken";
      this.#addTo(this.#slice(start), key, event);
    }
    return outcome;
  }

  adopt(pane: Pane): void {
    this.#slice(pane.start).panes.set(pane.key, pane);
  }

  advance(watermark: number, out: Event[]): void {
    if (watermark < this.due) return;
    const closing: Slice[] = [];
    let due = Number.POSITIVE_INFINITY;
    for (const slice of this.#slices.values()) {
      const closesAt = slice.start + this.#size + this.#lateness;
      if (closesAt <= watermark) closing.push(slice);
      else if (closesAt < due) due = closesAt;
    }
    this.due = due;
    closing.sort((a, b) => a.start - b.start);
    for (const slice of closing) {
      this.#slices.delete(slice.start);
      if (this.#recent === slice) this.#recent = undefined;
      const last = slice.start + this.#size - 1;
      for (const pane of slice.panes.values()) out.push(this.#panes.close(pane, last, last));
    }
  }

  outputWatermark(watermark: number): number {
    return watermark - this.#lateness;
  }

  #slice(start: number): Slice {
    if (this.#recent?.start === start) return this.#recent;
    let slice = this.#slices.get(start);
    if (slice === undefined) {
      slice = { start, panes: new Map() };
      this.#slices.set(start, slice);
      this.due = Math.min(this.due, start + this.#size + this.#lateness);
    }
    this.#recent = slice;
    return slice;
  }

  #addTo(slice: Slice, key: string | undefined, event: Event): void {
    let pane = slice.panes.get(key);
    if (pane === undefined) {
      pane = this.#panes.begin(event, key, slice.start, slice.start + this.#size);
      slice.panes.set(key, pane);
    }
    this.#panes.add(pane, event);
  }
}
