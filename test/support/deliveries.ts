import assert from "node:assert/strict";

/** What a reader found of numbered events at the end of a pipeline. */
export interface DeliveryFigures {
  readonly expected: number;
  readonly missing: number;
  /** Events that were there already. */
  readonly repeats: number;
  /** First deliveries after those of later events of their key, or of whatever `lane` says. */
  readonly orderBreaks: number;
}

/** Counts what arrives of the events 0 to `expected` - 1, and compares each with what it should be. */
export class Deliveries {
  readonly #expected: (n: number) => string;
  readonly #seen: Uint8Array;
  readonly #last = new Map<string, number>();
  #distinct = 0;
  #repeats = 0;
  #orderBreaks = 0;

  /** @param textOf what arrives of the `n`th event */
  constructor(expected: number, textOf: (n: number) => string) {
    this.#seen = new Uint8Array(expected);
    this.#expected = textOf;
  }

  /** @param key events of one key are to keep their order */
  take(key: string, text: string): void {
    const n = Number(/"n":(\d+)/.exec(text)?.[1]);
    assert.ok(n < this.#seen.length, `an event that was never written: ${text.slice(0, 300)}`);
    if (this.#seen[n] === 1) {
      this.#repeats++;
      return;
    }
    assert.equal(text, this.#expected(n));
    this.#seen[n] = 1;
    this.#distinct++;
    const last = this.#last.get(key) ?? -1;
    if (n < last) this.#orderBreaks++;
    else this.#last.set(key, n);
  }

  figures(): DeliveryFigures {
    const expected = this.#seen.length;
    return { expected, missing: expected - this.#distinct, repeats: this.#repeats, orderBreaks: this.#orderBreaks };
  }
}
