/** Whether pictures were scored as they must be. Read by hand, not by Millrace. */
import { Fetching } from "./fetching.ts";
import type { Image } from "./images.ts";

interface Score {
  readonly id: string;
  readonly class: number;
  readonly probs: readonly number[];
}

/** The model knows all of the small pictures; the noise, and a seldom rounding, may make it err. */
const RIGHT_AT_LEAST = 0.95;

/** Probabilities are rounded to six decimals. */
const TOLERANCE = 2e-6;

/** Scores of the program that was checked first: those of all others must be the same. */
export class ScoreCheck {
  readonly #pool: readonly Image[];
  readonly #count: number;
  readonly #first = new Map<number, Score>();

  constructor(pool: readonly Image[], count: number) {
    this.#pool = pool;
    this.#count = count;
  }

  /** @returns how many results there are more than there must be. @throws when one is missing or wrong */
  async check(brokers: string, topic: string, ends: readonly number[]): Promise<number> {
    const seen = new Set<number>();
    let results = 0;
    let right = 0;
    for await (const { key, value } of recordsOf(brokers, topic, ends)) {
      const score = JSON.parse(value.toString()) as Score;
      const id = Number(score.id);
      if (key?.toString() !== score.id) throw new Error(`the result of ${score.id} has the key ${key?.toString()}`);
      const image = this.#pool[id % this.#pool.length] as Image;
      const known = this.#first.get(id);
      if (known === undefined) this.#first.set(id, score);
      else if (!isSame(score, known)) throw new Error(`${value.toString()} was ${JSON.stringify(known)} before`);
      if (score.class === image.digit) right++;
      seen.add(id);
      results++;
    }
    if (seen.size < this.#count) throw new Error(`${this.#count - seen.size} of ${this.#count} results are missing`);
    if (right < results * RIGHT_AT_LEAST) throw new Error(`only ${right} of ${results} pictures were read rightly`);
    return results - seen.size;
  }
}

async function* recordsOf(brokers: string, topic: string, ends: readonly number[]) {
  const starts = new Map(ends.flatMap((end, partition) => (end > 0 ? [[partition, 0] as const] : [])));
  await using fetching = new Fetching(brokers.split(","), topic, starts);
  await fetching.open();
  let left = ends.reduce((sum, end) => sum + end, 0);
  while (left > 0) {
    const records = await fetching.fetch();
    if (records.length === 0) throw new Error(`${left} records of ${topic} can't be read`);
    yield* records;
    left -= records.length;
  }
}

function isSame(score: Score, other: Score): boolean {
  return (
    score.class === other.class &&
    score.probs.length === other.probs.length &&
    score.probs.every((probability, index) => Math.abs(probability - (other.probs[index] ?? Number.NaN)) <= TOLERANCE)
  );
}
