import type { Event, Origin, Position } from "../../batch.ts";
import type { Failures } from "../../contracts.ts";
import { MillraceError } from "../../errors.ts";
import { Heap } from "../heap.ts";
import type { ItemLog, Tracked } from "../state/item-log.ts";
import { UNSAVED } from "../state/item-log.ts";
import type { ReadyFold } from "./fold.ts";

/** The state of one open window of one key. */
export interface Pane extends Tracked {
  readonly key: string | undefined;
  start: number;
  /** The first moment that no longer belongs to it; for count windows the time of the last event so far. */
  end: number;
  count: number;
  /** What the fold keeps. */
  state: unknown;
  /** The offset of its earliest record: where reading must begin again while it is open. Results of windows do not come in the order of their records. */
  firstOffset: Position;
  /** Bytes of the records that it keeps. */
  bytes: number;
  readonly origin: Origin;
  /** Orders windows that end together: the one that began first comes first. */
  readonly sequence: number;
}

/** Where an open window holds the position back. */
interface Hold {
  readonly offset: Position;
  readonly pane: Pane;
}

/** What bounds the state of a window step, per partition. */
export interface PaneLimits {
  readonly maxOpen: number;
  readonly maxHeldEvents: number;
  readonly maxHeldBytes: number;
}

/** In the place of a result that could not be made. */
export const NO_RESULT = Symbol("no result");

/** The state of a window step grew beyond its limits. */
export class WindowLimitError extends MillraceError {
  override readonly name = "WindowLimitError";
}

/** What windows are worked on with. */
export interface PaneTools {
  readonly failures: Failures;
  /** Notes which windows change between two checkpoints. */
  readonly log: ItemLog<Pane>;
}

/** Makes windows, adds events to them, gives their results, and keeps count of what is held. */
export class Panes {
  readonly #step: string;
  readonly #fold: ReadyFold<unknown>;
  readonly #holds: "values" | "fold";
  readonly #limits: PaneLimits;
  readonly #log: ItemLog<Pane>;
  /** The window with the earliest record is at the top. One whose earliest record changed has a new hold. */
  readonly #holding = new Heap<Hold>(
    (a, b) => a.offset < b.offset,
    ({ pane, offset }) => pane.open === "open" && pane.firstOffset === offset,
  );
  #open = 0;
  #heldEvents = 0;
  #heldBytes = 0;
  #sequence = 0;
  readonly #failures: Failures;

  constructor(step: string, fold: ReadyFold<unknown>, holds: "values" | "fold", limits: PaneLimits, tools: PaneTools) {
    this.#failures = tools.failures;
    this.#step = step;
    this.#fold = fold;
    this.#holds = holds;
    this.#limits = limits;
    this.#log = tools.log;
  }

  /** How much there is to save: windows, and the values that they hold. */
  get weight(): number {
    return this.#open + this.#heldEvents;
  }

  /** Goes on with a window that was open when a checkpoint was made. Call it in the order of their sequence. */
  adopt(pane: Pane): void {
    this.#open += 1;
    this.#sequence = pane.sequence + 1;
    if (this.#holds === "values") {
      this.#heldEvents += pane.count;
      this.#heldBytes += pane.bytes;
    }
    this.#holding.push({ offset: pane.firstOffset, pane });
  }

  begin(event: Event, key: string | undefined, start: number, end: number): Pane {
    if (this.#open >= this.#limits.maxOpen) this.#refuse(`${this.#limits.maxOpen} windows are open (one for each key and time)`, "maxOpen");
    this.#open += 1;
    const pane: Pane = {
      key,
      start,
      end,
      count: 0,
      state: this.#fold.init(),
      firstOffset: event.offset,
      bytes: 0,
      origin: event.origin,
      open: "open",
      sequence: this.#sequence++,
      ...UNSAVED,
    };
    this.#log.touch(pane);
    this.#holding.push({ offset: pane.firstOffset, pane });
    return pane;
  }

  add(pane: Pane, event: Event): void {
    this.#log.touch(pane);
    pane.state = this.#fold.add(pane.state, event.value, event);
    pane.count += 1;
    if (event.offset < pane.firstOffset) this.#holdBack(pane, event.offset);
    if (this.#holds === "fold") return;
    pane.bytes += event.size;
    this.#heldEvents += 1;
    this.#heldBytes += event.size;
    if (this.#heldEvents > this.#limits.maxHeldEvents) this.#refuse(`${this.#limits.maxHeldEvents} events are held`, "maxHeldEvents");
    if (this.#heldBytes > this.#limits.maxHeldBytes) this.#refuse(`${this.#limits.maxHeldBytes} bytes of events are held`, "maxHeldBytes");
  }

  /** Puts `from` into `into`. */
  merge(into: Pane, from: Pane): void {
    this.#log.touch(into);
    this.#log.remove(from);
    // The values of both are in another order than each alone.
    into.saved = 0;
    const [earlier, later] = into.start <= from.start ? [into, from] : [from, into];
    into.state = this.#fold.merge?.(earlier.state, later.state);
    into.start = earlier.start;
    into.end = Math.max(into.end, from.end);
    into.count += from.count;
    into.bytes += from.bytes;
    if (from.firstOffset < into.firstOffset) this.#holdBack(into, from.firstOffset);
    from.open = "closed";
    from.state = undefined;
    this.#open -= 1;
  }

  /**
   * Closes a window and gives its result as an event.
   * @param time the result's event time: the last moment of the window
   * @param watermark the watermark before the result
   * @param end the end that the result tells; default the window's own
   * A result that can't be made is taken out: the event's value is then NO_RESULT.
   * @throws DataError at the window's first record when the policy for that is to fail; the window then stays open
   */
  close(pane: Pane, time: number, watermark: number, end: number = pane.end): Event {
    const result = this.#resultOf(pane, time, watermark, end);
    this.#log.remove(pane);
    pane.open = "closed";
    this.#open -= 1;
    if (this.#holds === "values") {
      this.#heldEvents -= pane.count;
      this.#heldBytes -= pane.bytes;
    }
    const { key, start, count } = pane;
    // Heaps may hold the window for a while yet.
    pane.state = undefined;
    if (result === NO_RESULT) return eventOf(pane, NO_RESULT, time, watermark);
    const value = this.#holds === "values" ? { key, start, end, count, values: result } : { key, start, end, count, value: result };
    return eventOf(pane, value, time, watermark);
  }

  /** The offset of the earliest record of all open windows; undefined if none is open. */
  held(): Position | undefined {
    return this.#holding.peek()?.offset;
  }

  #resultOf(pane: Pane, time: number, watermark: number, end: number): unknown {
    try {
      return this.#fold.result(pane.state);
    } catch (cause) {
      const { key, start, count, state } = pane;
      this.#failures.take(this.#step, eventOf(pane, { key, start, end, count, state }, time, watermark), cause);
      return NO_RESULT;
    }
  }

  #holdBack(pane: Pane, offset: Position): void {
    pane.firstOffset = offset;
    this.#holding.push({ offset, pane });
  }

  #refuse(what: string, option: string): never {
    throw new WindowLimitError(
      `step "${this.#step}": ${what}, which is the limit; use fold, smaller windows, less lateness or fewer keys, or raise ${option}`,
    );
  }
}

function eventOf({ key, origin, firstOffset, bytes }: Pane, value: unknown, time: number, watermark: number): Event {
  return { value, key, time, headers: undefined, origin, offset: firstOffset, watermark, size: bytes };
}
