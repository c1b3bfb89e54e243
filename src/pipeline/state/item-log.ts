import { setImmediate as turn } from "node:timers/promises";

import { packPlain, unpackState } from "./plain-data.ts";
import { inSlices, SLICE } from "./slices.ts";

/** An item of a step's state that is saved by itself, such as an open window. The log keeps its last three fields. */
export interface Tracked {
  /** Unique in the step, and rises from item to item. */
  readonly sequence: number;
  open: "open" | "closed";
  /** The period between two barriers in which it was changed last; 0 when that is saved. */
  changed: number;
  /** The segment that has it from its beginning. */
  segment: number;
  /** How much of what it grows by is saved; 0 when it is to be saved anew as a whole. */
  saved: number;
}

/** The fields of an item that is not saved yet. */
export const UNSAVED = { changed: 0, segment: -1, saved: 0 } as const;

/** How items become plain data. */
export interface ItemCodec<I extends Tracked> {
  /**
   * Many items as one value of plain data, which is packed before anything else happens. Of an item with `saved` above 0 only
   * what was added since need be in it. Sets `saved`.
   */
  encode(items: readonly I[]): unknown;
  /** Puts what `encode` made into `items` by sequence: a new item, or what an item there has grown by. */
  decode(block: unknown, items: Map<number, I>, segment: number): void;
  /** How much `encode` would write of an item: 1 for a small one. */
  weight(item: I): number;
}

/** A piece of the log: items as they were at a barrier, and those that were closed. */
export interface Segment {
  readonly number: number;
  /** What `encode` made, packed; before them what was removed. */
  readonly blocks: readonly Uint8Array[];
  readonly weight: number;
}

/** What a barrier adds to the log. */
export interface LogDelta {
  readonly added: readonly Segment[];
  /** The numbers of segments that are not needed any more. */
  readonly dropped: readonly number[];
}

interface KeptSegment<I> {
  readonly number: number;
  readonly weight: number;
  readonly bytes: number;
  /** The items that begin in it. */
  readonly items: I[];
}

/** Items of one block, and so of one piece of work between two looks at the clock. */
const BLOCK_WEIGHT = 1024;
/** A segment is closed when it has that weight or those bytes. */
const SEGMENT_WEIGHT = 16_384;
const SEGMENT_BYTES = 1_048_576;
/** A log of so few bytes is written anew as a whole: that is cheaper than to keep its pieces. */
const SMALL = 65_536;
/** More segments than that are not kept, however little is in them. */
const MOST_SEGMENTS = 256;
/** What may be dead in the log beyond as much as is alive. */
const SLACK = 4096;

/**
 * A step's items, of which each checkpoint writes those that changed since the one before. The log is a row of segments;
 * the oldest are dropped, and what is alive in them written anew, when more than half of it is dead: so what a checkpoint
 * costs follows what changed and not how much there is.
 *
 * At a barrier the changed items are only marked. They are encoded in slices, between batches; one that is about to change
 * before its turn is encoded first. So a barrier never stops the stream for long.
 */
export class ItemLog<I extends Tracked> {
  readonly #codec: ItemCodec<I>;
  readonly #segments: KeptSegment<I>[] = [];
  /** 0 when nothing is saved: then no item counts as changed. */
  #period = 0;
  #changed: I[] = [];
  #removed: number[] = [];
  #nextSegment = 0;
  #freeze: Freeze<I> | undefined;
  /** Settles when everything is encoded that was marked at the last barrier. */
  encoded: Promise<unknown> = Promise.resolve();

  constructor(codec: ItemCodec<I>) {
    this.#codec = codec;
  }

  /** Begins to note what changes; items come with `UNSAVED`. */
  start(): void {
    this.#period = 1;
  }

  /** Call it before an item changes, and for a new one. */
  touch(item: I): void {
    if (item.changed !== this.#period) this.#mark(item);
  }

  /** Call it when an item is closed, before what it holds is dropped. */
  remove(item: I): void {
    if (this.#period === 0) return;
    this.#thaw(item);
    if (item.segment >= 0) this.#removed.push(item.sequence);
  }

  /**
   * Begins with what was saved, from the oldest segment to the newest. Has turns of the event loop in between.
   * @returns the items that are open, in the order of their sequence
   */
  async restore(segments: AsyncIterable<Segment>): Promise<I[]> {
    const items = new Map<number, I>();
    let since = performance.now();
    for await (const { number, blocks, weight } of segments) {
      let bytes = 0;
      for (const [index, block] of blocks.entries()) {
        bytes += block.length;
        const content = unpackState(block);
        if (index > 0) this.#codec.decode(content, items, number);
        else for (const sequence of content as number[]) items.delete(sequence);
        if (performance.now() - since < SLICE) continue;
        await turn();
        since = performance.now();
      }
      this.#segments.push({ number, weight, bytes, items: [] });
      this.#nextSegment = number + 1;
    }
    const byNumber = new Map(this.#segments.map((segment) => [segment.number, segment]));
    const sorted = [...items.values()].sort((a, b) => a.sequence - b.sequence);
    await inSlices(sorted, (item) => byNumber.get(item.segment)?.items.push(item));
    return sorted;
  }

  /**
   * Marks everything that changed since the last barrier, to be encoded as it is now. Call it when `encoded` has settled.
   * @param alive the weight of all items that are open
   */
  barrier(alive: number): Promise<LogDelta> {
    const items = this.#changed.filter(({ open }) => open === "open");
    const dropped = this.#drop(items, alive);
    const freeze = new Freeze(this.#codec, items, this.#removed, this.#period, () => this.#nextSegment++);
    this.#changed = [];
    this.#removed = [];
    this.#period += 1;
    this.#freeze = freeze;
    const done = freeze.encodeAll().then((added) => {
      this.#freeze = undefined;
      for (const { number, weight, bytes, items: begun } of added) this.#segments.push({ number, weight, bytes, items: begun });
      return { added, dropped };
    });
    // A failure is told to whoever asked for the barrier.
    this.encoded = done.catch(() => undefined);
    return done;
  }

  #mark(item: I): void {
    this.#thaw(item);
    item.changed = this.#period;
    this.#changed.push(item);
  }

  /** Encodes an item that is marked for the barrier that is under way. */
  #thaw(item: I): void {
    if (this.#freeze !== undefined && item.changed === this.#period - 1 && item.changed > 0) this.#freeze.encodeNow(item);
  }

  /** Takes the oldest segments out of the log, and adds what is alive in them to the items to write. */
  #drop(items: I[], alive: number): number[] {
    const bytes = this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
    let weight = this.#segments.reduce((sum, segment) => sum + segment.weight, 0);
    let room = Math.max(items.length, SLACK);
    const dropped: number[] = [];
    for (let oldest = this.#segments[0]; oldest !== undefined; oldest = this.#segments[0]) {
      const crowded = weight > 2 * alive + SLACK || this.#segments.length >= MOST_SEGMENTS;
      if (bytes > SMALL && !(crowded && room > 0)) break;
      this.#segments.shift();
      dropped.push(oldest.number);
      weight -= oldest.weight;
      room -= this.#revive(oldest, items);
    }
    return dropped;
  }

  /** @returns how many items of the segment are written anew */
  #revive(segment: KeptSegment<I>, items: I[]): number {
    let revived = 0;
    for (const item of segment.items) {
      if (item.open === "closed" || item.segment !== segment.number) continue;
      item.saved = 0;
      revived += 1;
      if (item.changed === this.#period) continue;
      item.changed = this.#period;
      items.push(item);
    }
    return revived;
  }
}

interface NewSegment<I> extends Segment {
  readonly bytes: number;
  readonly items: I[];
}

/** The items of one barrier, until all are encoded. */
class Freeze<I extends Tracked> {
  readonly #codec: ItemCodec<I>;
  readonly #items: readonly I[];
  readonly #period: number;
  readonly #number: () => number;
  readonly #done: NewSegment<I>[] = [];
  #blocks: Uint8Array[] = [];
  #begun: I[] = [];
  #current: number;
  #weight = 0;
  #bytes = 0;
  #next = 0;

  constructor(codec: ItemCodec<I>, items: readonly I[], removed: readonly number[], period: number, number: () => number) {
    this.#codec = codec;
    this.#items = items;
    this.#period = period;
    this.#number = number;
    this.#current = number();
    this.#append(packPlain(removed), removed.length / 16);
  }

  /** Encodes one item before its turn. */
  encodeNow(item: I): void {
    this.#encode([item], this.#codec.weight(item));
  }

  async encodeAll(): Promise<readonly NewSegment<I>[]> {
    let since = performance.now();
    while (this.#next < this.#items.length) {
      this.#encodeBlock();
      if (performance.now() - since < SLICE) continue;
      await turn();
      since = performance.now();
    }
    if (this.#blocks.length > 1 || this.#weight > 0) this.#cut();
    return this.#done;
  }

  #encodeBlock(): void {
    const block: I[] = [];
    let weight = 0;
    while (this.#next < this.#items.length && weight < BLOCK_WEIGHT) {
      const item = this.#items[this.#next++] as I;
      // Encoded before its turn.
      if (item.changed !== this.#period) continue;
      block.push(item);
      weight += this.#codec.weight(item);
    }
    if (block.length > 0) this.#encode(block, weight);
  }

  #encode(items: readonly I[], weight: number): void {
    if (this.#weight >= SEGMENT_WEIGHT || this.#bytes >= SEGMENT_BYTES) this.#cut();
    for (const item of items) {
      item.changed = 0;
      if (item.saved > 0) continue;
      item.segment = this.#current;
      this.#begun.push(item);
    }
    this.#append(packPlain(this.#codec.encode(items)), weight);
  }

  #append(block: Uint8Array, weight: number): void {
    this.#blocks.push(block);
    this.#bytes += block.length;
    this.#weight += weight;
  }

  #cut(): void {
    this.#done.push({ number: this.#current, blocks: this.#blocks, weight: this.#weight, bytes: this.#bytes, items: this.#begun });
    this.#current = this.#number();
    this.#blocks = [];
    this.#begun = [];
    this.#weight = 0;
    this.#bytes = 0;
    this.#append(packPlain([]), 0);
  }
}
