import { crc32 } from "node:zlib";

import type { Position } from "../../batch.ts";
import { MillraceError } from "../../errors.ts";
import { packPlain, unpackState } from "./plain-data.ts";

/** What a checkpoint is, without the large states, which are in parts of their own. */
export interface Manifest {
  readonly task: string;
  readonly product: string;
  readonly partition: string;
  /** Where reading goes on with the saved states. */
  readonly position: Position;
  /** Where reading must begin so that all is made again that the states hold: where they are thrown away. */
  readonly safePosition: Position;
  /** Tells the input apart from another of the same name, where the source knows; see `Partition.edition`. */
  readonly edition: string | undefined;
  /** When it was made, in milliseconds since the epoch. */
  readonly time: number;
  /** The Millrace that made it. */
  readonly version: string;
  /** Rises from checkpoint to checkpoint of one owner. */
  readonly number: number;
  readonly steps: readonly SavedStepEntry[];
}

/** A step's entry in a manifest. */
export interface SavedStepEntry {
  readonly name: string;
  /** What its state is made for; that of another shape does not fit. */
  readonly shape: string;
  readonly value: Bytes;
  /** From the oldest to the newest. */
  readonly segments: readonly SegmentEntry[];
}

export interface SegmentEntry {
  readonly number: number;
  readonly weight: number;
  readonly bytes: Bytes;
}

/** Bytes in the manifest itself, or in parts of their own, with the CRC-32 of them all. */
export type Bytes = Uint8Array | { readonly parts: readonly string[]; readonly crc: number; readonly length: number };

/** A saved checkpoint can't be read. */
export class DamagedCheckpointError extends MillraceError {
  override readonly name = "DamagedCheckpointError";
}

/** A saved checkpoint was made by a newer Millrace. */
export class NewerCheckpointError extends MillraceError {
  override readonly name = "NewerCheckpointError";
}

/** "MRC" and the number of the format. */
const MAGIC = Buffer.from("MRC");
const FORMAT = 1;
/** Where the CRC-32 of the format and of what follows is. */
const SUM_AT = MAGIC.length + 1;
const HEADER = SUM_AT + 4;

/** @param format the number of the format, which is always this one's but where a test writes a newer one */
export function encodeManifest(manifest: Manifest, format: number = FORMAT): Buffer {
  const body = packPlain(manifest);
  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header.writeUInt8(format, MAGIC.length);
  header.writeUInt32BE(crc32(body, format), SUM_AT);
  return Buffer.concat([header, body]);
}

/**
 * @throws {DamagedCheckpointError} when the bytes are not what was written
 * @throws {NewerCheckpointError} when a newer Millrace has written them
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < HEADER || !buffer.subarray(0, MAGIC.length).equals(MAGIC)) throw new DamagedCheckpointError("it is no checkpoint");
  const format = buffer.readUInt8(MAGIC.length);
  const body = buffer.subarray(HEADER);
  if (crc32(body, format) !== buffer.readUInt32BE(SUM_AT)) throw new DamagedCheckpointError("its checksum is wrong");
  if (format !== FORMAT) {
    throw new NewerCheckpointError(
      `it has the format ${format}, and this Millrace reads the format ${FORMAT}: run the version that made it`,
    );
  }
  return unpackState(body) as Manifest;
}

/** The names of all parts that a manifest speaks of. */
export function partsIn(manifest: Pick<Manifest, "steps">): Set<string> {
  const parts = new Set<string>();
  for (const { value, segments } of manifest.steps) {
    for (const bytes of [value, ...segments.map((segment) => segment.bytes)]) {
      if (!(bytes instanceof Uint8Array)) for (const part of bytes.parts) parts.add(part);
    }
  }
  return parts;
}
