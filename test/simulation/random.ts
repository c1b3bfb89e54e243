/** Chance from a seed: the same seed and label give the same numbers. */
export class Random {
  #state: number;
  readonly #seed: number;

  /** @param label tells the uses of one seed apart, so that one more draw in one of them does not change the others */
  constructor(seed: number, label = "") {
    this.#seed = seed;
    let hash = 2_166_136_261 ^ seed;
    for (let index = 0; index < label.length; index++) hash = Math.imul(hash ^ label.charCodeAt(index), 16_777_619);
    this.#state = Math.imul(hash ^ (seed >>> 13), 0x9e37_79b1) >>> 0;
  }

  /** Another row of numbers of the same seed. */
  fork(label: string): Random {
    return new Random(this.#seed, label);
  }

  /** From 0 to 1, without 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)] as T;
  }
}
