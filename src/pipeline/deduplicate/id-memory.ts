import { setImmediate as turn } from "node:timers/promises";

import { MillraceError } from "../../errors.ts";
import type { ItemLog } from "../state/item-log.ts";
import { UNSAVED } from "../state/item-log.ts";
import type { Page } from "./page-codec.ts";

/** Ids of one page. */
const PAGE_IDS = 1024;
/** Pages that are taken over from a checkpoint until the event loop has a turn. */
const PAGES_PER_TURN = 16;

/** The ids of a `deduplicate` step are more than it may remember. */
export class DeduplicateLimitError extends MillraceError {
  override readonly name = "DeduplicateLimitError";
}

/** What bounds the memory of a `deduplicate` step. */
export interface IdBounds {
  /** Milliseconds for which an id is remembered; undefined for as long as `count` lets it. */
  readonly within: number | undefined;
  /** How many are remembered, the last ones; undefined for all that time lets. */
  readonly count: number | undefined;
  readonly maxIds: number;
}

/**
 * The ids that went through a step, in their order: each has a number, the next one. They are in pages, which are what checkpoints write, so
 * that an id costs its place in an index, one in a page, and nothing more.
 */
export class IdMemory {
  readonly #step: string;
  readonly #bounds: IdBounds;
  readonly #within: number;
  readonly #log: ItemLog<Page>;
  /** The number under which an id came last. */
  readonly #numbers = new Map<string, number>();
  readonly #pages: Page[] = [];
  /** The oldest number that is remembered, and the next one to give. */
  #first = 0;
  #next = 0;
  /** When the oldest is to be forgotten; infinite where time plays no part. */
  #due = Number.POSITIVE_INFINITY;

  constructor(step: string, bounds: IdBounds, log: ItemLog<Page>) {
    this.#step = step;
    this.#bounds = bounds;
    this.#within = bounds.within ?? Number.POSITIVE_INFINITY;
    this.#log = log;
  }

  /** Goes on with what a checkpoint has. Has turns of the event loop in between. */
  async adopt(pages: readonly Page[], first: number, next: number): Promise<void> {
    this.#first = first;
    this.#next = next;
    for (const [index, page] of pages.entries()) {
      this.#pages.push(page);
      const begin = page.sequence * PAGE_IDS;
      for (let at = Math.max(0, first - begin); at < page.ids.length; at++) this.#numbers.set(page.ids[at] as string, begin + at);
      if (index % PAGES_PER_TURN === PAGES_PER_TURN - 1) await turn();
    }
    this.#setDue();
    // It may be less than before.
    this.#keepCount();
  }

  /** The oldest number that is remembered, and the next one to give: what is saved beside the pages. */
  get range(): { readonly first: number; readonly next: number } {
    return { first: this.#first, next: this.#next };
  }

  /** How much there is to save: pages, and the ids in them. */
  get weight(): number {
    const [oldest] = this.#pages;
    return oldest === undefined ? 0 : this.#pages.length + this.#next - oldest.sequence * PAGE_IDS;
  }

  /** Forgets what the watermark has passed, as far as nothing older is still to be remembered. */
  advance(watermark: number): void {
    while (this.#first < this.#next && this.#due <= watermark) this.#forgetOldest();
  }

  /** Whether the id is remembered at that watermark. */
  has(id: string, watermark: number): boolean {
    const number = this.#numbers.get(id);
    return number !== undefined && this.#end(number) > watermark;
  }

  /**
   * Remembers an id.
   * @param time from when on its time counts; not looked at where only the count matters
   * @throws {DeduplicateLimitError} when there is no more room
   */
  add(id: string, time: number): void {
    const { count, maxIds } = this.#bounds;
    if (count === undefined && this.#next - this.#first >= maxIds) {
      throw new DeduplicateLimitError(
        `step "${this.#step}": ${maxIds} ids are remembered, which is the limit; raise maxIds, shorten within, or give count to forget the oldest`,
      );
    }
    const page = this.#openPage();
    this.#log.touch(page);
    page.ids.push(id);
    page.times?.push(time);
    this.#numbers.set(id, this.#next++);
    if (this.#next - this.#first === 1) this.#setDue();
    this.#keepCount();
  }

  #openPage(): Page {
    const sequence = Math.floor(this.#next / PAGE_IDS);
    const last = this.#pages[this.#pages.length - 1];
    if (last?.sequence === sequence) return last;
    const times = this.#bounds.within === undefined ? undefined : [];
    const page: Page = { sequence, ids: [], times, open: "open", ...UNSAVED };
    this.#pages.push(page);
    return page;
  }

  #keepCount(): void {
    const { count } = this.#bounds;
    if (count !== undefined) while (this.#next - this.#first > count) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const [page] = this.#pages as [Page];
    const number = this.#first++;
    const id = page.ids[number % PAGE_IDS] as string;
    // One that came again after its time has a newer number.
    if (this.#numbers.get(id) === number) this.#numbers.delete(id);
    if (this.#first % PAGE_IDS === 0) {
      this.#log.remove(page);
      page.open = "closed";
      this.#pages.shift();
    }
    this.#setDue();
  }

  #setDue(): void {
    this.#due = this.#first === this.#next ? Number.POSITIVE_INFINITY : this.#end(this.#first);
  }

  /** When an id is to be forgotten. */
  #end(number: number): number {
    const [oldest] = this.#pages as [Page];
    const page = this.#pages[Math.floor(number / PAGE_IDS) - oldest.sequence] as Page;
    return page.times === undefined ? Number.POSITIVE_INFINITY : (page.times[number % PAGE_IDS] as number) + this.#within;
  }
}
