import type { Event, Position } from "../batch.ts";
import type { Tracked } from "./state/item-log.ts";

/** Events of a `batch` step that wait to become one. */
export interface Group extends Tracked {
  readonly key: string | undefined;
  events: Event[];
  /** The clock time at which it is given although it is not full. */
  readonly due: number;
  /** The watermark before its first event. */
  readonly watermark: number;
  /** The offset of its earliest record: results of windows do not come in the order of their records. */
  firstOffset: Position;
  bytes: number;
}
