import type { Event, Position } from "../batch.ts";
import type { Tracked } from "./state/item-log.ts";

/** Events of a `batch` step that wait to become one. */
export interface Group extends Tracked {
  readonly key: string | undefined;
  events: Event[];
  /** When it is given although it is not full, as the clock's `elapsed` gives it. */
  due: number;
  /** The same as the clock's time when it began: what a checkpoint keeps. */
  readonly dueTime: number;
  /** The watermark before its first event. */
  readonly watermark: number;
  /** The offset of its earliest record: results of windows do not come in the order of their records. */
  firstOffset: Position;
  bytes: number;
}
