/**
 * Compressed record batches. A few kilobytes can stand for gigabytes, so everything that is read is measured before it
 * is inflated, or inflated under a limit.
 */
import { promisify } from "node:util";
import { gunzipSync, gzip, zstdCompress, zstdDecompressSync } from "node:zlib";

import { compressionsAlgorithms } from "@platformatic/kafka";

import { MillraceError, messageOf } from "../errors.ts";
import { lz4Length, snappyLength } from "./inflated-length.ts";

/** The codecs of record batches, by the names that Kafka gives them and in the order of the numbers that they have in a batch, from 1. */
export const CODECS = ["gzip", "snappy", "lz4", "zstd"] as const;

export type Codec = (typeof CODECS)[number];

/** The codec that the attributes of a batch name; undefined when its records are not compressed, or with a codec that Kafka has not. */
export function codecOf(attributes: number): Codec | undefined {
  return CODECS[(attributes & 0b111) - 1];
}

/** Bytes that one record batch may have after decompression: 64 MiB. */
export const MAX_INFLATED = 64 * 1024 * 1024;

/** A batch whose compressed records can't be read: it is damaged, or larger than allowed once inflated. Reading it again would not help. */
export class DecompressionError extends MillraceError {
  override readonly name = "DecompressionError";
  readonly codec: Codec;

  constructor(codec: Codec, what: string, options?: ErrorOptions) {
    super(`a ${codec} record batch ${what}`, options);
    this.codec = codec;
  }
}

// The client's own, in WebAssembly.
const { snappy, lz4 } = compressionsAlgorithms;

const gzipAsync = promisify(gzip);
const zstdCompressAsync = promisify(zstdCompress);

/** Compresses the records of a batch. gzip and zstd work on a thread of their own, snappy and lz4 on this one. */
export async function compress(codec: Codec, data: Buffer): Promise<Buffer> {
  switch (codec) {
    case "gzip":
      return await gzipAsync(data);
    case "zstd":
      return await zstdCompressAsync(data);
    case "snappy":
      return snappy.compressSync(data);
    case "lz4":
      return lz4.compressSync(data);
    default:
      return codec satisfies never;
  }
}

/**
 * Inflates the records of a batch.
 * @param limit bytes that they may have
 * @throws {DecompressionError} when they are damaged or have more, before memory is taken for what is over the limit
 */
export function decompress(codec: Codec, data: Buffer, limit: number = MAX_INFLATED): Buffer {
  try {
    switch (codec) {
      case "gzip":
        return gunzipSync(data, { maxOutputLength: limit });
      case "zstd":
        return zstdDecompressSync(data, { maxOutputLength: limit });
      case "snappy":
        refuseAbove(limit, codec, snappyLength(data));
        return snappy.decompressSync(data);
      case "lz4":
        refuseAbove(limit, codec, lz4Length(data, limit));
        return lz4.decompressSync(data);
      default:
        return codec satisfies never;
    }
  } catch (error) {
    if (error instanceof DecompressionError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(codec, limit);
    // A damaged block makes the WebAssembly decoders trap, which says nothing to anybody.
    const why = error instanceof Error && error.name === "RuntimeError" ? "its data is damaged" : messageOf(error);
    throw new DecompressionError(codec, `can't be inflated: ${why}`, { cause: error });
  }
}

function refuseAbove(limit: number, codec: Codec, length: number): void {
  if (length > limit) throw tooLarge(codec, limit);
}

function tooLarge(codec: Codec, limit: number): DecompressionError {
  return new DecompressionError(
    codec,
    `has more than ${limit} bytes once inflated, which is the limit; its producer must send smaller batches`,
  );
}
