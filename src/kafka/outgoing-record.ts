/** A record on its way out, measured. Apart from the writing of batches, so that a plan with a Kafka sink loads no client. */
import type { EventHeaders } from "../batch.ts";

/** A record on its way out. Made by `outgoingRecord`. */
export interface OutgoingRecord {
  /** Text is written as UTF-8. */
  readonly key: string | Uint8Array | undefined;
  /** Text is written as UTF-8; null is a tombstone. */
  readonly value: string | Uint8Array | null;
  /** Milliseconds since the epoch; NaN: when it is sent. */
  readonly time: number;
  readonly headers: EventHeaders | undefined;
  /** Bytes of the key and of the value as they are written. */
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Bytes that it takes up in a batch, or a few more. */
  readonly size: number;
}

/** Bytes of a batch before its records. */
export const BATCH_OVERHEAD = 61;

/** Bytes that a record may have at most besides key, value and headers: the attributes, and the varints of length, time, offset, key, value and headers. */
const RECORD_OVERHEAD = 1 + 5 + 8 + 4 + 5 + 5 + 4;

/** Bytes that a header may have besides name and value. */
const HEADER_OVERHEAD = 10;

/** Milliseconds from 1970, 71,000 years: the difference of two times, doubled, is then exact as a number. */
const FURTHEST_TIME = 2 ** 51;

/**
 * Measures a record.
 * @throws {TypeError} when a header is neither text nor bytes, or the time is no time
 */
export function outgoingRecord(
  key: string | Uint8Array | undefined,
  value: string | Uint8Array | null,
  time: number,
  headers: EventHeaders | undefined,
): OutgoingRecord {
  const keyBytes = key === undefined ? 0 : bytesOf(key);
  const valueBytes = value === null ? 0 : bytesOf(value);
  let size = RECORD_OVERHEAD + keyBytes + valueBytes;
  if (headers !== undefined) {
    for (let index = 0; index < headers.length; index++) {
      const header = headers[index] as EventHeaders[number];
      size += HEADER_OVERHEAD + bytesOf(header[0]) + bytesOf(header[1]);
    }
  }
  if (Number.isNaN(size)) throw new TypeError("a record's key, value and headers must be text or bytes");
  if (Math.abs(time) > FURTHEST_TIME) throw new TypeError(`${time} is no time in milliseconds since 1970`);
  return { key, value, time, headers, keyBytes, valueBytes, size };
}

/** Bytes of text as UTF-8, or of bytes. */
export function bytesOf(text: string | Uint8Array): number {
  return typeof text === "string" ? Buffer.byteLength(text) : text.length;
}
