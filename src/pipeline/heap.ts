/** Fewer items than this are not worth tidying up. */
const FEW = 64;

/**
 * A binary heap: the smallest item by `before` comes first. Used where what is open must be found by its end or its first
 * offset. Items that have died in the meantime are never given, and are dropped when they outnumber the living ones: one
 * that stays at the top for long must not keep all that came after it in memory.
 */
export class Heap<T> {
  #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;
  readonly #alive: (item: T) => boolean;
  /** So many items are held at most before the dead ones are looked for. */
  #roomy = FEW;

  /**
   * @param before whether `a` comes out before `b`; never changes for two items
   * @param alive whether an item is still wanted; once it is not, it stays so
   */
  constructor(before: (a: T, b: T) => boolean, alive: (item: T) => boolean) {
    this.#before = before;
    this.#alive = alive;
  }

  /** How many items are held, dead ones included. */
  get size(): number {
    return this.#items.length;
  }

  /** The smallest living item. */
  peek(): T | undefined {
    for (let top = this.#items[0]; top !== undefined; top = this.#items[0]) {
      if (this.#alive(top)) return top;
      this.#removeTop();
    }
    return undefined;
  }

  /** Takes the smallest living item out. */
  pop(): T | undefined {
    const top = this.peek();
    if (top !== undefined) this.#removeTop();
    return top;
  }

  push(item: T): void {
    if (this.#items.length >= this.#roomy) this.#tidy();
    this.#add(item);
  }

  #tidy(): void {
    const living = this.#items.filter(this.#alive);
    this.#items = [];
    for (const item of living) this.#add(item);
    this.#roomy = Math.max(FEW, 2 * living.length);
  }

  #add(item: T): void {
    const items = this.#items;
    let index = items.length;
    items.push(item);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#before(item, items[parent] as T)) break;
      items[index] = items[parent] as T;
      index = parent;
    }
    items[index] = item;
  }

  #removeTop(): void {
    const items = this.#items;
    const item = items.pop();
    if (item === undefined || items.length === 0) return;
    let index = 0;
    while (true) {
      let child = 2 * index + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#before(items[child + 1] as T, items[child] as T)) child += 1;
      if (!this.#before(items[child] as T, item)) break;
      items[index] = items[child] as T;
      index = child;
    }
    items[index] = item;
  }
}
