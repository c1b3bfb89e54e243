import type { Event } from "../../batch.ts";
import type { Pane, Panes } from "./pane.ts";
import type { Grouping, Windows } from "./windows.ts";
import { groupOf } from "./windows.ts";

/** The windows of one key that are not full yet. */
interface Row {
  /** Events of the key so far, modulo the slide. */
  phase: number;
  readonly open: Pane[];
}

/** Windows of a number of events, in the order of arrival. Time plays no part, so nothing is late and nothing is due. */
export class CountWindows implements Windows {
  readonly #panes: Panes;
  readonly #grouping: Grouping;
  readonly #count: number;
  readonly #slide: number;
  readonly #rows = new Map<string | undefined, Row>();
  readonly due = Number.POSITIVE_INFINITY;

  constructor(panes: Panes, grouping: Grouping, count: number, slide: number) {
    this.#panes = panes;
    this.#grouping = grouping;
    this.#count = count;
    this.#slide = slide;
  }

  add(event: Event, time: number, watermark: number, out: Event[]): "taken" {
    const key = groupOf(event, this.#grouping);
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { phase: 0, open: [] };
      this.#rows.set(key, row);
    }
    if (row.phase === 0) row.open.push(this.#panes.begin(event, key, time, time));
    row.phase = (row.phase + 1) % this.#slide;
    for (const pane of row.open) {
      pane.end = time;
      this.#panes.add(pane, event);
    }
    // Where the last event is behind the watermark, the result is not: it must not be late for the steps after.
    if (row.open[0]?.count === this.#count) out.push(this.#panes.close(row.open.shift() as Pane, Math.max(time, watermark), watermark));
    // A key between two windows needs no memory when the next event begins one anyway.
    if (row.open.length === 0 && row.phase === 0) this.#rows.delete(key);
    return "taken";
  }

  adopt(pane: Pane): void {
    const row = this.#rows.get(pane.key);
    // The window that began last has had as many events as came since.
    const phase = pane.count % this.#slide;
    if (row === undefined) this.#rows.set(pane.key, { phase, open: [pane] });
    else {
      row.phase = phase;
      row.open.push(pane);
    }
  }

  /** Only full windows give a result. */
  advance(): void {}

  outputWatermark(watermark: number): number {
    return watermark;
  }
}
