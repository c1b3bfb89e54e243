import type { Batch, Event, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import { DataError } from "../errors.ts";
import { Heap } from "./heap.ts";
import type { EventFunction } from "./transforms.ts";
import { keyText } from "./transforms.ts";
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
  readonly events: Event[];
  /** The clock time at which it is given although it is not full. */
  readonly due: number;
  readonly firstOffset: Position;
  open: "open" | "closed";
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
  /** By the first offset; closed ones are removed when they get to the top. Most often the order of #open, but a redelivered record comes late. */
  readonly #byOffset = new Heap<Group>((a, b) => a.firstOffset < b.firstOffset);
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
      const failed = events[index] as Event;
      yield this.result(out, Math.min(failed.offset, batch.position));
      throw new DataError(this.#plan.name, failed, cause);
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
    for (let first = this.#first(); first !== undefined && first.due <= now; first = this.#first()) {
      out.push(this.#close(first));
    }
    return out;
  }

  result(events: Event[], position: Position): Batch {
    const first = this.#first();
    if (first === undefined) {
      this.#byOffset.clear();
      return { events, position, watermark: this.#watermark };
    }
    while (this.#byOffset.peek()?.open === "closed") this.#byOffset.pop();
    const earliest = this.#byOffset.peek()?.firstOffset ?? position;
    const held = (first.events[0] as Event).watermark;
    return { events, position: Math.min(position, earliest), watermark: Math.min(this.#watermark, held) };
  }

  #close(group: Group): Event {
    this.#open.delete(group.key);
    group.open = "closed";
    return joined(group);
  }

  #first(): Group | undefined {
    return this.#open.values().next().value;
  }

  #add(event: Event, out: Event[]): void {
    const key = this.#plan.key === undefined ? undefined : keyText(this.#plan.key(event.value, event));
    let group = this.#open.get(key);
    if (group === undefined) {
      const due = this.#plan.time === undefined ? Number.POSITIVE_INFINITY : this.#run.clock.now() + this.#plan.time;
      group = { key, events: [], due, firstOffset: event.offset, open: "open" };
      this.#open.set(key, group);
      this.#byOffset.push(group);
    }
    group.events.push(event);
    if (group.events.length < this.#plan.size) return;
    out.push(this.#close(group));
  }
}

/** One event with the values of a group: at the time of its last event, and at the place of its first. */
function joined(group: Group): Event {
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
    watermark: first.watermark,
    size: events.reduce((bytes, event) => bytes + event.size, 0),
  };
}
