/** A picture of a digit, 8 × 8. */
export interface Image {
  readonly id: string;
  /** 64 numbers, row by row, from 0 (white) to 16 (black). */
  readonly pixels: readonly number[];
}

/** What was read in a picture. */
export interface Reading {
  readonly id: string;
  readonly digit: number;
  /** How sure the model is, from 0 to 1. */
  readonly probability: number;
}

/** @param probabilities of the digits from 0 to 9 */
export function toReading(id: string, probabilities: ArrayLike<number>): Reading {
  let digit = 0;
  for (let candidate = 1; candidate < probabilities.length; candidate++) {
    if ((probabilities[candidate] ?? 0) > (probabilities[digit] ?? 0)) digit = candidate;
  }
  return { id, digit, probability: probabilities[digit] ?? 0 };
}
