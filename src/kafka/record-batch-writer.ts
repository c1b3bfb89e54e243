/**
 * Writes record batches (format 2, of Kafka 0.11 and later) in one pass into one buffer, as specified in
 * https://kafka.apache.org/documentation/#recordbatch. The client's own writer makes a dozen objects for each record.
 */
import { crc32c } from "@platformatic/kafka";

import type { EventHeaders } from "../batch.ts";
import { type Codec, CODECS, compress } from "./codecs.ts";
import { BATCH_OVERHEAD, bytesOf, type OutgoingRecord } from "./outgoing-record.ts";

/** Who wrote a batch, and the number of its first record for that partition: the broker drops what it has already. */
export interface BatchIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly sequence: number;
  /** Whether it is part of a transaction: readers of what is committed then wait for its end. Default false. */
  readonly transactional?: boolean;
}

// Where the fields of a batch are.
const LENGTH = 8;
const LEADER_EPOCH = 12;
const MAGIC = 16;
const CRC = 17;
const ATTRIBUTES = 21;
const LAST_OFFSET_DELTA = 23;
const BASE_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const PRODUCER_ID = 43;
const PRODUCER_EPOCH = 51;
const SEQUENCE = 53;
const COUNT = 57;

/** The attribute of a batch that is part of a transaction. */
const TRANSACTIONAL = 0b1_0000;

/**
 * Writes a batch.
 * @param now the time of records that have none
 */
export async function writeBatch(
  records: readonly OutgoingRecord[],
  codec: Codec | "none",
  identity: BatchIdentity,
  now: number,
): Promise<Buffer> {
  const plain = writeRecords(records, now);
  const batch = codec === "none" ? plain : await compressRecords(plain, codec);
  signBatch(batch, identity);
  return batch;
}

/** Puts another identity on a batch, and the checksum over it. */
export function signBatch(batch: Buffer, { producerId, producerEpoch, sequence, transactional = false }: BatchIdentity): void {
  if (transactional) batch.writeInt16BE(batch.readInt16BE(ATTRIBUTES) | TRANSACTIONAL, ATTRIBUTES);
  batch.writeBigInt64BE(producerId, PRODUCER_ID);
  batch.writeInt16BE(producerEpoch, PRODUCER_EPOCH);
  batch.writeInt32BE(sequence, SEQUENCE);
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES)), CRC);
}

function writeRecords(records: readonly OutgoingRecord[], now: number): Buffer {
  let bytes = BATCH_OVERHEAD;
  for (const record of records) bytes += record.size;
  const batch = Buffer.allocUnsafe(bytes);
  const first = timeOf(records[0] as OutgoingRecord, now);
  let last = first;
  let at = BATCH_OVERHEAD;
  for (let index = 0; index < records.length; index++) {
    const record = records[index] as OutgoingRecord;
    const time = timeOf(record, now);
    if (time > last) last = time;
    at = writeRecord(batch, at, record, index, time - first);
  }
  batch.fill(0, 0, BATCH_OVERHEAD);
  batch.writeInt32BE(at - LEADER_EPOCH, LENGTH);
  batch.writeInt32BE(-1, LEADER_EPOCH);
  batch.writeInt8(2, MAGIC);
  batch.writeInt32BE(records.length - 1, LAST_OFFSET_DELTA);
  batch.writeBigInt64BE(BigInt(first), BASE_TIMESTAMP);
  batch.writeBigInt64BE(BigInt(last), MAX_TIMESTAMP);
  batch.writeInt32BE(records.length, COUNT);
  return batch.subarray(0, at);
}

async function compressRecords(plain: Buffer, codec: Codec): Promise<Buffer> {
  const packed = await compress(codec, plain.subarray(BATCH_OVERHEAD));
  const batch = Buffer.concat([plain.subarray(0, BATCH_OVERHEAD), packed]);
  batch.writeInt32BE(batch.length - LEADER_EPOCH, LENGTH);
  batch.writeInt16BE(CODECS.indexOf(codec) + 1, ATTRIBUTES);
  return batch;
}

function timeOf(record: OutgoingRecord, now: number): number {
  return Number.isNaN(record.time) ? now : Math.trunc(record.time);
}

function writeRecord(batch: Buffer, start: number, record: OutgoingRecord, offsetDelta: number, timeDelta: number): number {
  const { key, value, headers, keyBytes, valueBytes } = record;
  // The length stands before what it counts, and is as long as its own value says.
  let length = 1 + timeLength(timeDelta) + varintLength(offsetDelta);
  length += key === undefined ? 1 : varintLength(keyBytes) + keyBytes;
  length += value === null ? 1 : varintLength(valueBytes) + valueBytes;
  length += headers === undefined ? 1 : headersLength(headers);
  let at = writeVarint(batch, start, length);
  batch[at++] = 0;
  at = writeTime(batch, at, timeDelta);
  at = writeVarint(batch, at, offsetDelta);
  at = key === undefined ? writeNull(batch, at) : writeText(batch, writeVarint(batch, at, keyBytes), key, keyBytes);
  at = value === null ? writeNull(batch, at) : writeText(batch, writeVarint(batch, at, valueBytes), value, valueBytes);
  if (headers === undefined) batch[at++] = 0;
  else at = writeHeaders(batch, at, headers);
  return at;
}

function headersLength(headers: EventHeaders): number {
  let length = varintLength(headers.length);
  for (let index = 0; index < headers.length; index++) {
    const header = headers[index] as EventHeaders[number];
    const nameBytes = bytesOf(header[0]);
    const valueBytes = bytesOf(header[1]);
    length += varintLength(nameBytes) + nameBytes + varintLength(valueBytes) + valueBytes;
  }
  return length;
}

function writeHeaders(batch: Buffer, start: number, headers: EventHeaders): number {
  let at = writeVarint(batch, start, headers.length);
  for (let index = 0; index < headers.length; index++) {
    const header = headers[index] as EventHeaders[number];
    const nameBytes = bytesOf(header[0]);
    at = writeText(batch, writeVarint(batch, at, nameBytes), header[0], nameBytes);
    const valueBytes = bytesOf(header[1]);
    at = writeText(batch, writeVarint(batch, at, valueBytes), header[1], valueBytes);
  }
  return at;
}

/** Text up to this length is cheaper to write in a loop than in a call out of JavaScript. */
const SHORT_TEXT = 16;

function writeText(batch: Buffer, at: number, text: string | Uint8Array, bytes: number): number {
  if (typeof text !== "string") batch.set(text, at);
  else if (bytes !== text.length) batch.write(text, at, bytes, "utf8");
  else if (bytes > SHORT_TEXT) batch.write(text, at, bytes, "latin1");
  else for (let index = 0; index < bytes; index++) batch[at + index] = text.charCodeAt(index);
  return at + bytes;
}

/** A length of -1, which stands for null. */
function writeNull(batch: Buffer, at: number): number {
  batch[at] = 1;
  return at + 1;
}

// Varints are zigzag-encoded, so a length or a delta from 0 up counts double.

function varintLength(value: number): number {
  const zigzag = value * 2;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** @param value from 0 to 2^31 - 1 */
function writeVarint(batch: Buffer, start: number, value: number): number {
  let at = start;
  let rest = (value << 1) >>> 0;
  while (rest > 0x7f) {
    batch[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  batch[at++] = rest;
  return at;
}

/** Times may go back, and far. A number holds them doubled, because they stay below 2^52. */
function zigzagTime(delta: number): number {
  return delta < 0 ? -2 * delta - 1 : 2 * delta;
}

function timeLength(delta: number): number {
  let length = 1;
  for (let rest = zigzagTime(delta); rest > 0x7f; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

function writeTime(batch: Buffer, start: number, delta: number): number {
  let at = start;
  let rest = zigzagTime(delta);
  while (rest > 0x7f) {
    batch[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  batch[at++] = rest;
  return at;
}
