import type { Event } from "../../batch.ts";
import type { Pane } from "./pane.ts";

/**
 * The open windows of one partition, of one kind. Time and watermarks are milliseconds of whichever time the window goes
 * by. Results are pushed on `out`, in the order of the windows' ends.
 */
export interface Windows {
  /** No window closes before the watermark reaches this; Infinity when none is open. */
  readonly due: number;
  /**
   * Puts an event into its windows, opening them as needed.
   * @param time the event's time
   * @param watermark the watermark before the event
   * @returns late when all windows that it belongs to are closed
   */
  add(event: Event, time: number, watermark: number, out: Event[]): "taken" | "late";
  /** Goes on with a window that was open when a checkpoint was made. Call it in the order in which they began. */
  adopt(pane: Pane): void;
  /** Closes what the watermark has reached. */
  advance(watermark: number, out: Event[]): void;
  /** The watermark for the steps after: no result with a smaller time is to come. */
  outputWatermark(watermark: number): number;
}

/** All events as one group, or each key by itself. */
export type Grouping = "key" | "all";

export function groupOf(event: Event, grouping: Grouping): string | undefined {
  return grouping === "key" ? event.key : undefined;
}
