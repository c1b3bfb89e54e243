/**
 * How long compressed data will be, read from its headers without inflating it.
 */

/** The header of snappy-java's stream format, which Kafka's Java clients write: magic, version, compatible version, then chunks. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER = 16;

/**
 * Bytes that a snappy block, or a stream of them in snappy-java's format, says it has. A decoder refuses a block that has
 * others.
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 */
export function snappyLength(data: Buffer): number {
  if (!data.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return snappyBlockLength(data, 0);
  let length = 0;
  let at = XERIAL_HEADER;
  while (at < data.length) {
    length += snappyBlockLength(data, at + 4);
    at += 4 + data.readUInt32BE(at);
  }
  return length;
}

/** A block begins with its length as a varint of at most 5 bytes. */
function snappyBlockLength(data: Buffer, at: number): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = data[at + i];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return length;
  }
  throw new Error("its data has no length");
}

const LZ4_MAGIC = 0x184d2204;
const LZ4_UNCOMPRESSED = 0x80000000;

/**
 * Bytes that the first LZ4 frame has, or more: exact only where that decides between within and above `limit`. Stops
 * counting above it.
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export function lz4Length(data: Buffer, limit: number): number {
  const frame = readLz4Header(data);
  if (frame.contentSize > limit) return frame.contentSize;
  const blocks = [...lz4Blocks(data, frame)];
  // No block inflates to more than the frame allows.
  const atMost = blocks.reduce((sum, block) => sum + (block.compressed ? frame.blockSize : block.end - block.start), 0);
  if (atMost <= limit) return atMost;
  let length = 0;
  for (const block of blocks) {
    length += block.compressed ? lz4BlockLength(data, block, limit - length) : block.end - block.start;
    if (length > limit) return length;
  }
  return length;
}

interface Lz4Frame {
  /** Where its blocks begin. */
  readonly start: number;
  /** Bytes that a block may have once inflated. */
  readonly blockSize: number;
  readonly blockChecksums: boolean;
  /** 0 if the frame doesn't say. */
  readonly contentSize: number;
}

interface Lz4Block {
  readonly start: number;
  readonly end: number;
  readonly compressed: boolean;
}

function readLz4Header(data: Buffer): Lz4Frame {
  if (data.readUInt32LE(0) !== LZ4_MAGIC) throw new Error("its data is no LZ4 frame");
  const flags = data.readUInt8(4);
  const hasContentSize = (flags & 0b1000) !== 0;
  const hasDictionary = (flags & 0b1) !== 0;
  return {
    // Magic, flags, block descriptor, the optional fields, header checksum.
    start: 4 + 1 + 1 + (hasContentSize ? 8 : 0) + (hasDictionary ? 4 : 0) + 1,
    // 4 to 7 stand for 64 KiB, 256 KiB, 1 MiB and 4 MiB.
    blockSize: 1 << (8 + 2 * ((data.readUInt8(5) >> 4) & 0b111)),
    blockChecksums: (flags & 0b1_0000) !== 0,
    contentSize: hasContentSize ? Number(data.readBigUInt64LE(6)) : 0,
  };
}

function* lz4Blocks(data: Buffer, frame: Lz4Frame): Generator<Lz4Block> {
  let at = frame.start;
  while (at + 4 <= data.length) {
    const header = data.readUInt32LE(at);
    if (header === 0) return;
    const compressed = header < LZ4_UNCOMPRESSED;
    const start = at + 4;
    const end = start + (compressed ? header : header - LZ4_UNCOMPRESSED);
    yield { start, end: Math.min(end, data.length), compressed };
    at = end + (frame.blockChecksums ? 4 : 0);
  }
}

/**
 * Adds up the lengths of literals and matches of a block, without copying any; stops above `limit`.
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
 */
function lz4BlockLength(data: Buffer, { start, end }: Lz4Block, limit: number): number {
  let length = 0;
  let at = start;
  while (at < end && length <= limit) {
    const token = data[at++] ?? 0;
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && at < end) literals += more = data[at++] ?? 0;
    }
    length += literals;
    // Past the literals and the two bytes that say how far back the match is; the last sequence has no match.
    at += literals + 2;
    if (at >= end) return length;
    let match = token & 0b1111;
    if (match === 15) {
      let more = 255;
      while (more === 255 && at < end) match += more = data[at++] ?? 0;
    }
    length += match + 4;
  }
  return length;
}
