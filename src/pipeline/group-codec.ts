import type { Event, Origin } from "../batch.ts";
import type { Group } from "./event-group.ts";
import type { ItemCodec } from "./state/item-log.ts";
import { numberOfOrigin } from "./state/origins.ts";
import { oddityIn } from "./state/plain-data.ts";
import { StateError } from "./state/step-state.ts";

type SavedEvent = readonly [
  value: unknown,
  key: string | undefined,
  time: number,
  headers: Event["headers"],
  origin: number,
  offset: number,
  watermark: number,
  size: number,
  raw: Event["raw"],
  rawKey: string | undefined,
];

interface SavedGroup {
  readonly sequence: number;
  readonly key: string | undefined;
  /** The clock's time. */
  readonly due: number;
  readonly watermark: number;
  readonly firstOffset: number;
  readonly bytes: number;
  /** How many events were saved before. */
  readonly saved: number;
  /** The others. */
  readonly events: readonly SavedEvent[];
}

/** Groups of waiting events as plain data for checkpoints. */
export class GroupCodec implements ItemCodec<Group> {
  readonly #step: string;
  /** Where records came from; most often all of a partition from the same place. */
  readonly origins: Origin[];

  constructor(step: string, origins: readonly Origin[] = []) {
    this.#step = step;
    this.origins = [...origins];
  }

  weight({ events, saved }: Group): number {
    return 1 + events.length - saved;
  }

  encode(groups: readonly Group[]): readonly SavedGroup[] {
    this.#check(groups[0]?.events[0]?.value);
    return groups.map((group) => {
      const { sequence, key, dueTime: due, watermark, firstOffset, bytes, saved, events } = group;
      group.saved = events.length;
      return { sequence, key, due, watermark, firstOffset, bytes, saved, events: events.slice(saved).map((event) => this.#saved(event)) };
    });
  }

  decode(block: unknown, groups: Map<number, Group>, segment: number): void {
    for (const { events, saved, ...group } of block as readonly SavedGroup[]) {
      const before = saved > 0 ? groups.get(group.sequence) : undefined;
      const all = before?.events ?? [];
      for (const event of events) all.push(this.#event(event));
      const place = { changed: 0, segment: before?.segment ?? segment, saved: all.length };
      groups.set(group.sequence, { ...group, dueTime: group.due, events: all, open: "open", ...place });
    }
  }

  #saved(event: Event): SavedEvent {
    const { value, key, time, headers, origin, offset, watermark, size, raw, rawKey } = event;
    return [value, key, time, headers, numberOfOrigin(this.origins, origin), offset, watermark, size, raw, rawKey];
  }

  #event([value, key, time, headers, origin, offset, watermark, size, raw, rawKey]: SavedEvent): Event {
    return { value, key, time, headers, origin: this.origins[origin] as Origin, offset, watermark, size, raw, rawKey };
  }

  /** Looks at one of many: they come from the same function. */
  #check(value: unknown): void {
    const oddity = oddityIn(value, "");
    if (oddity === undefined) return;
    throw new StateError(
      `step "${this.#step}": a value that waits can't be saved in a checkpoint (${oddity}); keep numbers, text, arrays and plain objects`,
    );
  }
}
