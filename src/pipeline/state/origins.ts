import type { Origin } from "../../batch.ts";

/** The number of an origin among those known, to which a new one is added: records of a partition most often share one. */
export function numberOfOrigin(known: Origin[], origin: Origin): number {
  const number = known.findIndex((candidate) => candidate === origin || isSame(candidate, origin));
  return number === -1 ? known.push(origin) - 1 : number;
}

function isSame(a: Origin, b: Origin): boolean {
  return a.system === b.system && a.name === b.name && a.partition === b.partition && a.edition === b.edition;
}
