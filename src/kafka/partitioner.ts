/**
 * Which partition a record goes to: by its key as Java's producer does it, so that both write a key to the same
 * partition; without a key to one partition for a while, so that batches stay large.
 */

/** Bytes after which records without a key go to the next partition, as in Java's producer (KIP-480, KIP-794). */
export const STICKY_BYTES = 16 * 1024;

const MULTIPLIER = 0x5bd1e995;
const SEED = 0x9747b28c;

/**
 * The 32-bit murmur2 hash of the first `length` bytes, with Kafka's seed; signed.
 * @see https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp
 */
export function murmur2(bytes: Uint8Array, length: number = bytes.length): number {
  let hash = SEED ^ length;
  const tail = length & ~3;
  for (let at = 0; at < tail; at += 4) {
    let word =
      (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
    word = Math.imul(word, MULTIPLIER);
    word ^= word >>> 24;
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER);
  }
  if (length > tail) {
    for (let at = length - 1; at >= tail; at--) hash ^= (bytes[at] as number) << (8 * (at - tail));
    hash = Math.imul(hash, MULTIPLIER);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, MULTIPLIER);
  return hash ^ (hash >>> 15);
}

/** Keys are short and ASCII nearly always; those are hashed from here. */
const scratch = new Uint8Array(256);

/** The partition of a key, out of `count`; text counts as UTF-8. */
export function partitionOfKey(key: string | Uint8Array, count: number): number {
  return (hashOf(key) & 0x7fffffff) % count;
}

function hashOf(key: string | Uint8Array): number {
  if (typeof key !== "string") return murmur2(key);
  const length = key.length;
  if (length > scratch.length) return murmur2(Buffer.from(key));
  for (let at = 0; at < length; at++) {
    const code = key.charCodeAt(at);
    if (code > 0x7f) return murmur2(Buffer.from(key));
    scratch[at] = code;
  }
  return murmur2(scratch, length);
}

/** Where records without a key of one topic go. */
export class StickyPartition {
  #partition: number;
  #bytes = 0;

  /** @param first the partition to begin with, any number: several producers should not begin with the same */
  constructor(first: number) {
    this.#partition = first;
  }

  /** The partition of one send, out of `count`. */
  next(count: number): number {
    if (this.#bytes >= STICKY_BYTES) {
      this.#partition++;
      this.#bytes = 0;
    }
    return this.#partition % count;
  }

  /** Counts what was sent to the partition. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }
}
