import { promisify } from "node:util";
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from "node:zlib";

import { PART_BYTES } from "../../checkpoint-store.ts";
import type { Segment } from "./item-log.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Of what a level costs and saves, the first gives the most: state is written often and read seldom. */
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Up to so many bytes the way to another thread and back takes longer than the work: most tasks keep little. */
const AT_ONCE = 4096;

/** Bytes before each block that tell its length. */
const LENGTH = 4;

/** A segment's blocks as compressed bytes. */
export async function packSegment({ blocks }: Segment): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (const block of blocks) {
    const length = Buffer.alloc(LENGTH);
    length.writeUInt32BE(block.length);
    pieces.push(length, block);
  }
  const all = Buffer.concat(pieces);
  return all.length <= AT_ONCE ? zstdCompressSync(all, LEVEL) : await compress(all, LEVEL);
}

/** @throws on bytes that are no segment */
export async function unpackSegment(bytes: Uint8Array): Promise<Uint8Array[]> {
  const all = bytes.length <= AT_ONCE ? zstdDecompressSync(bytes) : await decompress(bytes);
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < all.length;) {
    const end = at + LENGTH + all.readUInt32BE(at);
    blocks.push(all.subarray(at + LENGTH, end));
    at = end;
  }
  return blocks;
}

/** Cuts bytes into what a part of a checkpoint may hold. */
export function partsOf(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += PART_BYTES) parts.push(bytes.subarray(at, at + PART_BYTES));
  return parts;
}
