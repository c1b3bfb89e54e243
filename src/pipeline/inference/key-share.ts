import type { Event } from "../../batch.ts";

/** FNV-1a over a text's UTF-16 units. */
function fnv1a(text: string, seed: number): number {
  let hash = seed;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** Spreads what differs in a few bits over all of them: the end of MurmurHash3. */
function spread(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const OFFSET_BASIS = 0x811c9dc5;

/**
 * Whether an event is of a share of the keys: the same keys in all partitions, workers and runs, and those of a smaller share among
 * those of a larger one. Events without a key are chosen by their place in the input.
 * @param name tells choices apart, so that two of them are not of the same keys
 */
export function keyShare(name: string, share: number): (event: Event) => boolean {
  const seed = fnv1a(name, OFFSET_BASIS);
  const limit = share * 2 ** 32;
  return ({ key, origin, offset }) => spread(fnv1a(key ?? `${origin.partition ?? ""}@${offset}`, seed)) < limit;
}
