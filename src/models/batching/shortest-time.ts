/** How much of the way to a slower time it goes with each call. */
const RISE = 0.05;

/**
 * The time that a model needs at the least, in milliseconds: what a call can't be faster than, going by the last ones. It
 * falls to a faster call at once and rises slowly, so that a pause or a cold start makes nobody give up.
 */
export class ShortestTime {
  #shortest: number | undefined;

  /** 0 while nothing is known. */
  get ms(): number {
    return this.#shortest ?? 0;
  }

  /** What is known is of something else. */
  forget(): void {
    this.#shortest = undefined;
  }

  took(ms: number): void {
    const before = this.#shortest;
    this.#shortest = before === undefined || ms < before ? ms : before + (ms - before) * RISE;
  }
}
