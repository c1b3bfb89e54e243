/** Something that can be in one bag. */
export interface InBag {
  /** Its place there; the bag's own affair. */
  slot: number;
}

/**
 * What is under way: things that come and go thousands of times a second, in no order. A Set would do the same, but V8 makes a new table for it
 * every few changes, and each old one points to the next: once one of them is old, they and what was in them stay until the next full collection.
 */
export class Bag<T extends InBag> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** It must not be in a bag already. */
  add(item: T): void {
    item.slot = this.#items.length;
    this.#items.push(item);
  }

  has(item: T): boolean {
    return this.#items[item.slot] === item;
  }

  /** @returns whether it was in it */
  delete(item: T): boolean {
    if (!this.has(item)) return false;
    const last = this.#items.pop() as T;
    if (last === item) return true;
    last.slot = item.slot;
    this.#items[item.slot] = last;
    return true;
  }

  /** All that are in it now; it may be changed meanwhile. */
  all(): readonly T[] {
    return [...this.#items];
  }
}
