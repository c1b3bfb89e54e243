import type { Event } from "../../batch.ts";
import { Heap } from "../heap.ts";
import type { Pane, Panes } from "./pane.ts";
import type { Grouping, Windows } from "./windows.ts";
import { groupOf } from "./windows.ts";

interface Closing {
  readonly pane: Pane;
  /** The end when it was put here; the window may have grown since. */
  readonly end: number;
}

/**
 * Session windows. Events whose distance is exactly the gap belong together, so a session stays open until no such event
 * can come in time any more: until the watermark has passed end + lateness, not just reached it. Otherwise two events at
 * that distance would be one session or two depending on what other keys sent between them.
 */
export class SessionWindows implements Windows {
  readonly #panes: Panes;
  readonly #grouping: Grouping;
  readonly #gap: number;
  readonly #lateness: number;
  /** The open sessions of each key; most often one. */
  readonly #sessions = new Map<string | undefined, Pane[]>();
  readonly #closing = new Heap<Closing>(
    (a, b) => a.end < b.end || (a.end === b.end && a.pane.sequence < b.pane.sequence),
    ({ pane }) => pane.open === "open",
  );

  constructor(panes: Panes, grouping: Grouping, gap: number, lateness: number) {
    this.#panes = panes;
    this.#grouping = grouping;
    this.#gap = gap;
    this.#lateness = lateness;
  }

  get due(): number {
    const next = this.#closing.peek();
    return next === undefined ? Number.POSITIVE_INFINITY : this.#closesAt(next.end);
  }

  add(event: Event, time: number, watermark: number): "taken" | "late" {
    const key = groupOf(event, this.#grouping);
    const sessions = this.#sessions.get(key);
    const own = sessions === undefined ? undefined : this.#joinAround(sessions, time);
    if (own !== undefined) {
      own.start = Math.min(own.start, time);
      own.end = Math.max(own.end, time + this.#gap);
      this.#panes.add(own, event);
      return "taken";
    }
    if (this.#closesAt(time + this.#gap) <= watermark) return "late";
    const pane = this.#panes.begin(event, key, time, time + this.#gap);
    this.adopt(pane);
    this.#panes.add(pane, event);
    return "taken";
  }

  adopt(pane: Pane): void {
    const sessions = this.#sessions.get(pane.key);
    if (sessions === undefined) this.#sessions.set(pane.key, [pane]);
    else sessions.push(pane);
    this.#closing.push({ pane, end: pane.end });
  }

  advance(watermark: number, out: Event[]): void {
    for (let next = this.#closing.peek(); next !== undefined && this.#closesAt(next.end) <= watermark; next = this.#closing.peek()) {
      this.#closing.pop();
      const { pane } = next;
      if (pane.end !== next.end) {
        this.#closing.push({ pane, end: pane.end });
        continue;
      }
      this.#remove(pane);
      out.push(this.#panes.close(pane, pane.end - 1, pane.end - 1));
    }
  }

  outputWatermark(watermark: number): number {
    return watermark - this.#lateness - 1;
  }

  #closesAt(end: number): number {
    return end + this.#lateness + 1;
  }

  /** The session that an event of that time belongs to, after merging all that it brings together; undefined if none. */
  #joinAround(sessions: Pane[], time: number): Pane | undefined {
    let own: Pane | undefined;
    for (let index = 0; index < sessions.length; index++) {
      const candidate = sessions[index] as Pane;
      if (candidate.start - time > this.#gap || time > candidate.end) continue;
      if (own === undefined) {
        own = candidate;
        continue;
      }
      // The one with the earlier record survives: it holds the position back as it is.
      const [kept, merged] = own.firstOffset <= candidate.firstOffset ? [own, candidate] : [candidate, own];
      this.#panes.merge(kept, merged);
      sessions.splice(sessions.indexOf(merged), 1);
      own = kept;
      index -= 1;
    }
    return own;
  }

  #remove(pane: Pane): void {
    const sessions = this.#sessions.get(pane.key) ?? [];
    if (sessions.length === 1) this.#sessions.delete(pane.key);
    else sessions.splice(sessions.indexOf(pane), 1);
  }
}
