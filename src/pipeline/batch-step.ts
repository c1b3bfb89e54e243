import type { Batch, Event, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import { DataError } from "../errors.ts";
import { Heap } from "./heap.ts";
import type { EventFunction } from "./transforms.ts";
import { keyText } from "./transforms.ts";
import { positionBefore } from "./truncated.ts";
import { TICK, withTimer } from "./with-timer.ts";

/** A `batch` step, checked; `time` in milliseconds. */
export interface BatchPlan {
  readonly name: string;
  readonly size: number;
  readonly time: number | undefined;
  readonly key: EventFunction<unknown, unknown> | undefined;
}

/** Events that wait to become one. */
interface Group {
  readonly key: string | undefined;
  events: Event[];
  /** The clock time at which it is given although it is not full. */
  readonly due: number;
  /** The watermark before its first event. */
  readonly watermark: number;
  /** The offset of its earliest record: results of windows do not come in the order of their records. */
  firstOffset: Position;
  bytes: number;
  open: "open" | "closed";
}

/** Where an open group holds the position back. */
interface Hold {
  readonly offset: Position;
  readonly group: Group;
}

/**
 * Joins events into arrays: when `size` are there, or `time` after the first of them came, or at the end of a finite
 * input. Each group has its own deadline, which ends with it.
 */
export function batchStep(plan: BatchPlan): Step<unknown, unknown> {
  return async function* (input, run) {
    const groups = new Groups(plan, run);
    let position: Position | undefined;
    for await (const batch of withTimer(input, run.clock, () => groups.due)) {
      if (batch !== TICK) {
        position = batch.position;
        yield* groups.take(batch);
      } else if (position !== undefined) yield groups.result(groups.takeDue(), position);
    }
  };
}

class Groups {
  readonly #plan: BatchPlan;
  readonly #run: RunContext;
  /** In the order in which they began: the first is the next one due. */
  readonly #open = new Map<string | undefined, Group>();
  /** The group with the earliest record is at the top. One whose earliest record changed has a new hold. */
  readonly #holding = new Heap<Hold>(
    (a, b) => a.offset < b.offset,
    ({ group, offset }) => group.open === "open" && group.firstOffset === offset,
  );
  #watermark = NO_WATERMARK;

  constructor(plan: BatchPlan, run: RunContext) {
    this.#plan = plan;
    this.#run = run;
  }

  get due(): number | undefined {
    const first = this.#first();
    return first === undefined || first.due === Number.POSITIVE_INFINITY ? undefined : first.due;
  }

  *take(batch: Batch): Generator<Batch> {
    const out: Event[] = this.takeDue();
    const { events } = batch;
    let index = 0;
    try {
      for (; index < events.length; index++) this.#add(events[index] as Event, out);
    } catch (cause) {
      yield this.result(out, positionBefore(batch, index));
      throw new DataError(this.#plan.name, events[index], cause);
    }
    this.#watermark = batch.watermark;
    if (batch.watermark === END_OF_INPUT) {
      for (const group of this.#open.values()) out.push(this.#close(group));
    }
    yield this.result(out, batch.position);
  }

  /** The groups whose time has come, as events. */
  takeDue(): Event[] {
    const out: Event[] = [];
    const now = this.#run.clock.now();
    for (const group of this.#open.values()) {
      if (group.due > now) break;
      out.push(this.#close(group));
    }
    return out;
  }

  result(events: Event[], position: Position): Batch {
    const earliest = this.#holding.peek()?.offset ?? position;
    const held = this.#first()?.watermark ?? this.#watermark;
    return { events, position: Math.min(position, earliest), watermark: Math.min(this.#watermark, held) };
  }

  #close(group: Group): Event {
    // An older group that is still open can give events that are older than this one's.
    const watermark = this.#first()?.watermark ?? group.watermark;
    const event = joined(group, watermark);
    this.#open.delete(group.key);
    group.open = "closed";
    // The heap may hold the group for a while yet.
    group.events = [];
    return event;
  }

  #first(): Group | undefined {
    return this.#open.values().next().value;
  }

  #add(event: Event, out: Event[]): void {
    const key = this.#plan.key === undefined ? undefined : keyText(this.#plan.key(event.value, event), this.#plan.name);
    let group = this.#open.get(key);
    if (group === undefined) {
      const due = this.#plan.time === undefined ? Number.POSITIVE_INFINITY : this.#run.clock.now() + this.#plan.time;
      group = { key, events: [], due, watermark: event.watermark, firstOffset: event.offset, bytes: 0, open: "open" };
      this.#open.set(key, group);
      this.#holding.push({ offset: event.offset, group });
    } else if (event.offset < group.firstOffset) {
      group.firstOffset = event.offset;
      this.#holding.push({ offset: event.offset, group });
    }
    group.events.push(event);
    group.bytes += event.size;
    if (group.events.length < this.#plan.size) return;
    out.push(this.#close(group));
  }
}

/** One event with the values of a group: at the time of its last event, and at the place of its first. */
function joined(group: Group, watermark: number): Event {
  const { events } = group;
  const first = events[0] as Event;
  const last = events[events.length - 1] as Event;
  return {
    value: events.map((event) => event.value),
    key: group.key,
    time: last.time,
    headers: undefined,
    origin: first.origin,
    offset: group.firstOffset,
    watermark,
    size: group.bytes,
  };
}
