import type { Barrier, Batch, Event, Origin, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import { MillraceError } from "../errors.ts";
import type { Group } from "./event-group.ts";
import { GroupCodec } from "./group-codec.ts";
import { Heap } from "./heap.ts";
import { ItemLog, UNSAVED } from "./state/item-log.ts";
import { StepState } from "./state/step-state.ts";
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
  /** The most events held at a time, over all keys, and the most bytes of their records. */
  readonly maxHeldEvents: number;
  readonly maxHeldBytes: number;
}

/** Batches that are not full yet hold more than they may. */
export class BatchLimitError extends MillraceError {
  override readonly name = "BatchLimitError";
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
    const groups = await beginGroups(plan, run);
    let position: Position | undefined;
    for await (const batch of withTimer(input, run.clock, () => groups.left)) {
      if (batch !== TICK) {
        position = batch.position;
        yield* groups.take(batch);
      } else if (position !== undefined) yield groups.result(groups.takeDue(), position);
    }
  };
}

/** What a batch step saves beside its groups. */
interface SavedValue {
  readonly origins: readonly Origin[];
  readonly watermark: number;
}

/** Begins with the groups that were open when the checkpoint was made, if there is one. */
async function beginGroups(plan: BatchPlan, run: RunContext): Promise<Groups> {
  const memory = run.memory instanceof StepState ? run.memory : undefined;
  const saved = memory?.restored as SavedValue | undefined;
  const codec = new GroupCodec(plan.name, saved?.origins);
  const { log, items } = memory === undefined ? { log: new ItemLog(codec), items: [] } : await memory.items(codec);
  const save = async (barrier: Barrier, alive: number, watermark: number) => {
    await log.encoded;
    memory?.saveItems(barrier, log, alive, () => ({ origins: codec.origins, watermark }) satisfies SavedValue);
  };
  return new Groups(plan, run, { log, save, items, watermark: saved?.watermark ?? NO_WATERMARK });
}

/** How groups are kept over a restart. */
interface GroupMemory {
  readonly log: ItemLog<Group>;
  /** Adds the open groups to the checkpoint of a barrier. */
  readonly save: (barrier: Barrier, alive: number, watermark: number) => Promise<void>;
  /** What was open, in the order in which it began. */
  readonly items: readonly Group[];
  readonly watermark: number;
}

class Groups {
  readonly #plan: BatchPlan;
  readonly #run: RunContext;
  readonly #memory: GroupMemory;
  readonly #open = new Map<string | undefined, Group>();
  /** The one that began first is at the top: it is the next one due. */
  readonly #byAge = new Heap<Group>(
    (a, b) => a.sequence < b.sequence,
    (group) => group.open === "open",
  );
  /** The group with the earliest record is at the top. One whose earliest record changed has a new hold. */
  readonly #holding = new Heap<Hold>(
    (a, b) => a.offset < b.offset,
    ({ group, offset }) => group.open === "open" && group.firstOffset === offset,
  );
  #watermark = NO_WATERMARK;
  #sequence = 0;
  #heldEvents = 0;
  #heldBytes = 0;

  constructor(plan: BatchPlan, run: RunContext, memory: GroupMemory) {
    this.#plan = plan;
    this.#run = run;
    this.#memory = memory;
    this.#watermark = memory.watermark;
    for (const group of memory.items) {
      group.due = this.#dueAfter(group.dueTime - run.clock.now());
      this.#hold(group);
      this.#sequence = group.sequence + 1;
      this.#heldEvents += group.events.length;
      this.#heldBytes += group.bytes;
    }
  }

  /** In how many milliseconds a group is due; undefined when none is. */
  get left(): number | undefined {
    const due = this.#byAge.peek()?.due ?? Number.POSITIVE_INFINITY;
    return due === Number.POSITIVE_INFINITY ? undefined : due - this.#run.clock.elapsed();
  }

  async *take(batch: Batch): AsyncGenerator<Batch> {
    const out: Event[] = this.takeDue();
    const { events } = batch;
    for (let index = 0; index < events.length; index++) {
      try {
        this.#addOrTakeOut(events[index] as Event, out);
      } catch (error) {
        yield this.result(out, positionBefore(batch, index));
        throw error;
      }
    }
    this.#watermark = batch.watermark;
    if (batch.watermark === END_OF_INPUT) {
      this.#takeAll(Number.POSITIVE_INFINITY, out);
    }
    if (batch.barrier !== undefined) await this.#memory.save(batch.barrier, this.#open.size + this.#heldEvents, this.#watermark);
    yield this.result(out, batch.position, batch.barrier);
  }

  /** The groups whose time has come, as events. */
  takeDue(): Event[] {
    const out: Event[] = [];
    this.#takeAll(this.#run.clock.elapsed(), out);
    return out;
  }

  result(events: Event[], position: Position, barrier?: Barrier): Batch {
    const earliest = this.#holding.peek()?.offset ?? position;
    const held = this.#byAge.peek()?.watermark ?? this.#watermark;
    return { events, position: Math.min(position, earliest), watermark: Math.min(this.#watermark, held), barrier };
  }

  #takeAll(due: number, out: Event[]): void {
    for (let next = this.#byAge.peek(); next !== undefined && next.due <= due; next = this.#byAge.peek()) out.push(this.#close(next));
  }

  #close(group: Group): Event {
    // An older group that is still open can give events that are older than this one's.
    const watermark = this.#byAge.peek()?.watermark ?? group.watermark;
    const event = joined(group, watermark);
    this.#memory.log.remove(group);
    this.#open.delete(group.key);
    group.open = "closed";
    this.#heldEvents -= group.events.length;
    this.#heldBytes -= group.bytes;
    // The heap may hold the group for a while yet.
    group.events = [];
    return event;
  }

  #addOrTakeOut(event: Event, out: Event[]): void {
    const { key: keyOf, name } = this.#plan;
    let key: string | undefined;
    try {
      if (keyOf !== undefined) key = keyText(keyOf(event.value, event), name);
    } catch (cause) {
      this.#run.failures.take(name, event, cause);
      return;
    }
    this.#add(event, key, out);
  }

  #add(event: Event, key: string | undefined, out: Event[]): void {
    let group = this.#open.get(key);
    if (group === undefined) {
      const { time = Number.POSITIVE_INFINITY } = this.#plan;
      const [due, dueTime] = [this.#dueAfter(time), this.#run.clock.now() + time];
      const { watermark, offset: firstOffset } = event;
      group = { key, events: [], due, dueTime, watermark, firstOffset, bytes: 0, open: "open", sequence: this.#sequence++, ...UNSAVED };
      this.#hold(group);
    } else if (event.offset < group.firstOffset) {
      group.firstOffset = event.offset;
      this.#holding.push({ offset: event.offset, group });
    }
    this.#memory.log.touch(group);
    // The batch as a whole has no record, and held ones would keep what they were read from.
    event.raw = undefined;
    group.events.push(event);
    group.bytes += event.size;
    this.#heldEvents += 1;
    this.#heldBytes += event.size;
    if (group.events.length >= this.#plan.size) out.push(this.#close(group));
    else this.#checkLimits();
  }

  /** @param ms at most the time that a group may wait: the clock may have been set back since a checkpoint */
  #dueAfter(ms: number): number {
    return this.#run.clock.elapsed() + Math.min(ms, this.#plan.time ?? Number.POSITIVE_INFINITY);
  }

  #hold(group: Group): void {
    this.#open.set(group.key, group);
    this.#byAge.push(group);
    this.#holding.push({ offset: group.firstOffset, group });
  }

  #checkLimits(): void {
    const { name, maxHeldEvents, maxHeldBytes } = this.#plan;
    if (this.#heldEvents <= maxHeldEvents && this.#heldBytes <= maxHeldBytes) return;
    const [what, option] =
      this.#heldEvents > maxHeldEvents ? [`${maxHeldEvents} events`, "maxHeldEvents"] : [`${maxHeldBytes} bytes of events`, "maxHeldBytes"];
    throw new BatchLimitError(
      `step "${name}": ${what} are held, which is the limit; use smaller or shorter batches or fewer keys, or raise ${option}`,
    );
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
