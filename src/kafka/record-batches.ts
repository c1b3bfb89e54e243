/**
 * Reads record batches (format 2, of Kafka 0.11 and later) from the bytes of a fetch reply, as specified in
 * https://kafka.apache.org/documentation/#recordbatch.
 */
import { type Event, NO_WATERMARK, type Origin, type Position } from "../batch.ts";
import { DataError } from "../errors.ts";
import { codecOf, decompress } from "./codecs.ts";
import type { RecordValue } from "./consumer.ts";
import { BATCH_BYTES, BATCH_EVENTS, type RecordChunk } from "./record-chunk.ts";
import { type KeyEncoding, keyText } from "./record-text.ts";

/** A transaction that was given up: records of that producer from that offset to its abort marker are never delivered. */
export interface AbortedTransaction {
  readonly producer: bigint;
  readonly firstOffset: bigint;
}

// Where the fields of a batch's header are.
const LENGTH = 8;
const MAGIC = 16;
const ATTRIBUTES = 21;
const LAST_OFFSET_DELTA = 23;
const BASE_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const PRODUCER = 43;
const COUNT = 57;
const HEADER = 61;
/** Bytes before the part that `length` counts. */
const PREFIX = 12;

const COMPRESSION = 0b111;
const LOG_APPEND_TIME = 0b1000;
const TRANSACTIONAL = 0b1_0000;
const CONTROL = 0b10_0000;

/** The offset behind the last whole batch of the bytes; undefined when there is none. Control records and compacted gaps count. */
export function endOfBatches(bytes: Buffer): Position | undefined {
  let end: Position | undefined;
  for (let at = 0; wholeBatch(bytes, at); at += PREFIX + bytes.readInt32BE(at + LENGTH)) {
    end = int64(bytes, at) + bytes.readInt32BE(at + LAST_OFFSET_DELTA) + 1;
  }
  return end;
}

function wholeBatch(bytes: Buffer, at: number): boolean {
  return at + HEADER <= bytes.length && at + PREFIX + bytes.readInt32BE(at + LENGTH) <= bytes.length;
}

/** An int64 as a number: offsets and times stay below 2^53. */
function int64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

/**
 * The records of one partition in one fetch reply. They are decompressed and decoded when they are asked for, one record
 * batch at a time, so what waits in memory is what came over the wire.
 */
export class RecordBatches implements RecordChunk {
  readonly #bytes: Buffer;
  readonly #origin: Origin;
  readonly #keyEncoding: KeyEncoding;
  readonly #aborted: AbortedTransaction[];
  readonly #abortedProducers = new Set<bigint>();
  #position: Position;
  /** Where the next batch begins. */
  #at = 0;
  // The batch whose records are being read.
  #records: Buffer;
  #recordAt = 0;
  #recordsLeft = 0;
  #baseOffset = 0;
  #endOffset = 0;
  #baseTimestamp = 0;
  /** The time of all records of the batch, when the broker stamps them; otherwise undefined. */
  #appendTime: number | undefined;

  /** @param from the offset that was asked for: a batch may begin before it */
  constructor(bytes: Buffer, from: Position, aborted: readonly AbortedTransaction[], origin: Origin, keyEncoding: KeyEncoding) {
    this.#bytes = bytes;
    this.#records = bytes;
    this.#position = from;
    this.#aborted = aborted.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
    this.#origin = origin;
    this.#keyEncoding = keyEncoding;
  }

  get position(): Position {
    return this.#position;
  }

  get waiting(): number {
    return this.#bytes.length - (this.#records === this.#bytes && this.#recordsLeft > 0 ? this.#recordAt : this.#at);
  }

  get done(): boolean {
    return this.#recordsLeft === 0 && !wholeBatch(this.#bytes, this.#at);
  }

  take(events: Event<RecordValue>[], bytes: number): number {
    let size = bytes;
    while (events.length < BATCH_EVENTS && size < BATCH_BYTES) {
      if (this.#recordsLeft > 0) size = this.#takeRecords(events, size);
      else if (!this.#openBatch()) break;
    }
    return size;
  }

  /** Steps to the next batch that has records for us. @returns false at the end */
  #openBatch(): boolean {
    const bytes = this.#bytes;
    while (wholeBatch(bytes, this.#at)) {
      const at = this.#at;
      const base = int64(bytes, at);
      const end = base + bytes.readInt32BE(at + LAST_OFFSET_DELTA) + 1;
      const attributes = bytes.readInt16BE(at + ATTRIBUTES);
      const skipped = end <= this.#position || this.#skips(at, base, end, attributes);
      if (!skipped) this.#openRecords(at, base, end, attributes);
      this.#at = at + PREFIX + bytes.readInt32BE(at + LENGTH);
      if (!skipped && this.#recordsLeft > 0) return true;
      this.#position = Math.max(this.#position, end);
    }
    return false;
  }

  /** Whether the batch holds control records or those of a transaction that was given up. */
  #skips(at: number, base: Position, end: Position, attributes: number): boolean {
    const bytes = this.#bytes;
    if (bytes[at + MAGIC] !== 2)
      throw this.#fault(base, new Error(`record format ${bytes[at + MAGIC]} is older than Kafka 0.11 and can't be read`));
    while (this.#aborted.length > 0 && Number((this.#aborted[0] as AbortedTransaction).firstOffset) < end) {
      this.#abortedProducers.add((this.#aborted.shift() as AbortedTransaction).producer);
    }
    if ((attributes & CONTROL) !== 0) {
      if (isAbortMarker(bytes, at)) this.#abortedProducers.delete(bytes.readBigInt64BE(at + PRODUCER));
      return true;
    }
    return (attributes & TRANSACTIONAL) !== 0 && this.#abortedProducers.has(bytes.readBigInt64BE(at + PRODUCER));
  }

  #openRecords(at: number, base: Position, end: Position, attributes: number): void {
    const bytes = this.#bytes;
    if ((attributes & COMPRESSION) === 0) {
      this.#records = bytes;
      this.#recordAt = at + HEADER;
    } else {
      try {
        const codec = codecOf(attributes);
        if (codec === undefined) throw new Error(`the record batch is compressed with an unknown codec (${attributes & COMPRESSION})`);
        this.#records = decompress(codec, bytes.subarray(at + HEADER, at + PREFIX + bytes.readInt32BE(at + LENGTH)));
      } catch (error) {
        this.#position = Math.max(base, this.#position);
        throw this.#fault(this.#position, error);
      }
      this.#recordAt = 0;
    }
    this.#recordsLeft = bytes.readInt32BE(at + COUNT);
    this.#baseOffset = base;
    this.#endOffset = end;
    this.#baseTimestamp = int64(bytes, at + BASE_TIMESTAMP);
    this.#appendTime = (attributes & LOG_APPEND_TIME) === 0 ? undefined : int64(bytes, at + MAX_TIMESTAMP);
  }

  /** Record by record, in one loop without calls that allocate: this is the hottest code of the source. */
  #takeRecords(events: Event<RecordValue>[], sizeBefore: number): number {
    const bytes = this.#records;
    const origin = this.#origin;
    const cursor = new Cursor(bytes, this.#recordAt);
    let size = sizeBefore;
    let left = this.#recordsLeft;
    let position = this.#position;
    try {
      while (left > 0 && events.length < BATCH_EVENTS && size < BATCH_BYTES) {
        const length = cursor.varint();
        const end = cursor.at + length;
        if (end > bytes.length) throw new RangeError("the record is damaged: it ends behind its batch");
        cursor.at++; // The attributes of a record are unused.
        const timestamp = this.#baseTimestamp + cursor.varint();
        const offset = this.#baseOffset + cursor.varint();
        if (offset >= position) {
          position = offset;
          const keyLength = cursor.varint();
          const keyAt = cursor.at;
          if (keyLength > 0) cursor.at += keyLength;
          const valueLength = cursor.varint();
          const valueAt = cursor.at;
          if (valueLength > 0) cursor.at += valueLength;
          const time = this.#appendTime ?? timestamp;
          const eventSize = Math.max(keyLength, 0) + Math.max(valueLength, 0);
          const value = valueLength < 0 ? null : bytes.subarray(valueAt, valueAt + valueLength);
          const key = keyLength < 0 ? undefined : keyText(bytes, keyAt, keyAt + keyLength, this.#keyEncoding);
          events.push({
            value,
            key,
            time: time < 0 ? Number.NaN : time,
            headers: bytes[cursor.at] === 0 ? undefined : cursor.headers(),
            origin,
            offset,
            watermark: NO_WATERMARK,
            size: eventSize,
            raw: value,
            rawKey: key,
          });
          size += eventSize;
          position = offset + 1;
        }
        cursor.at = end;
        left--;
      }
    } catch (error) {
      this.#position = position;
      throw this.#fault(position, error);
    }
    this.#recordAt = cursor.at;
    this.#recordsLeft = left;
    this.#position = left === 0 ? Math.max(position, this.#endOffset) : position;
    if (left === 0) this.#records = this.#bytes;
    return size;
  }

  #fault(offset: Position, cause: unknown): DataError {
    return new DataError("source", { origin: this.#origin, offset }, cause);
  }
}

/** A control record's key is a version and a type, both int16; type 0 aborts (KIP-98). */
function isAbortMarker(bytes: Buffer, at: number): boolean {
  const cursor = new Cursor(bytes, at + HEADER);
  cursor.varint();
  cursor.at++;
  cursor.varint();
  cursor.varint();
  return cursor.varint() >= 4 && bytes.readInt16BE(cursor.at + 2) === 0;
}

const NO_BYTES = new Uint8Array(0);

/** Reads the variable-length parts of a record. */
class Cursor {
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** A zigzag varint or varlong; exact up to 2^53. */
  varint(): number {
    const bytes = this.#bytes;
    const first = bytes[this.at++] as number;
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    let low = first & 0x7f;
    for (let shift = 7; shift <= 21; shift += 7) {
      const byte = bytes[this.at++] as number;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1);
    }
    return this.#longVarint(low);
  }

  #longVarint(low: number): number {
    let value = low;
    let factor = 2 ** 28;
    for (;;) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined || factor > 2 ** 63) throw new RangeError("the record is damaged: a number in it does not end");
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      factor *= 128;
    }
  }

  /** Names and values in the record's order. A value that is null becomes empty, since an event's headers know no null. */
  headers(): (readonly [string, Uint8Array])[] | undefined {
    const bytes = this.#bytes;
    const count = this.varint();
    const headers: (readonly [string, Uint8Array])[] = [];
    for (let index = 0; index < count; index++) {
      const nameLength = this.varint();
      const name = bytes.toString("utf8", this.at, this.at + nameLength);
      this.at += nameLength;
      const valueLength = this.varint();
      const value = valueLength < 0 ? NO_BYTES : bytes.subarray(this.at, this.at + valueLength);
      this.at += Math.max(valueLength, 0);
      headers.push([name, value]);
    }
    return headers;
  }
}
