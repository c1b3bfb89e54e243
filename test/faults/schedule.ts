/** Which fault comes when: made from a seed, so that a run can be had again. No I/O. */
import { randomOf } from "../support/nexmark.ts";

/** One fault of a run. */
export interface Planned {
  readonly fault: string;
  /** How long things go well before it, in milliseconds. */
  readonly after: number;
  /** How long it lasts, in milliseconds. */
  readonly lasts: number;
  /** From 0 to 1, for whatever a fault has to choose, such as the worker that it hits. */
  readonly choice: number;
}

/** A kind of fault, and how long it lasts. */
export interface Kind {
  readonly name: string;
  readonly shortest: number;
  readonly longest: number;
}

const SHORTEST_CALM = 1000;
const LONGEST_CALM = 4000;

/**
 * Plans faults for so many milliseconds. Each kind comes once before any comes again, in an order of its own in each round, so
 * that short runs have many kinds too.
 */
export function planFaults(seed: number, length: number, kinds: readonly Kind[]): readonly Planned[] {
  const random = randomOf(seed);
  const planned: Planned[] = [];
  let round: Kind[] = [];
  for (let at = 0; at < length && kinds.length > 0;) {
    if (round.length === 0) round = [...kinds];
    const [kind] = round.splice(Math.floor(random() * round.length), 1) as [Kind];
    const after = Math.round(SHORTEST_CALM + random() * (LONGEST_CALM - SHORTEST_CALM));
    const lasts = Math.round(kind.shortest + random() * (kind.longest - kind.shortest));
    planned.push({ fault: kind.name, after, lasts, choice: random() });
    at += after + lasts;
  }
  return planned;
}
