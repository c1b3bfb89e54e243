/** The value of a manifest's entry: a line of JSON that says whose it is, then the manifest. */
import type { CheckpointName } from "../checkpoint-store.ts";
import { ConfigError } from "../errors.ts";

const VERSION = 1;

export interface ManifestEntry extends CheckpointName {
  readonly epoch: number;
  /** Random, of one claim. */
  readonly owner: string;
  /** Numbers the saves of a claim. */
  readonly call: number;
  /** Undefined when nothing was saved yet. */
  readonly manifest: Uint8Array | undefined;
}

export function entryBytes({ manifest, ...owned }: ManifestEntry): Uint8Array {
  const line = JSON.stringify({ version: VERSION, ...owned, saved: manifest !== undefined });
  return Buffer.concat([Buffer.from(`${line}\n`), manifest ?? new Uint8Array()]);
}

/**
 * @param of what it is the entry of, for messages
 * @throws {ConfigError} when it is none, or a later version of Millrace wrote it
 */
export function readEntry(value: Uint8Array, of: CheckpointName | string): ManifestEntry {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const end = bytes.indexOf("\n");
  const where = typeof of === "string" ? `NATS key ${of}` : `NATS entry of task ${of.task}, partition ${of.partition}`;
  let line: ManifestEntry & { readonly version: number; readonly saved: boolean };
  try {
    line = JSON.parse(bytes.subarray(0, end).toString()) as typeof line;
  } catch (error) {
    throw new ConfigError([{ where, what: "holds no checkpoint: delete it, or use another bucket" }], { cause: error });
  }
  if (line.version !== VERSION) {
    const what = "a later version of Millrace wrote this checkpoint: run that version, or throw it away with millrace checkpoints reset";
    throw new ConfigError([{ where, what }]);
  }
  const { task, partition, epoch, owner, call, saved } = line;
  return { task, partition, epoch, owner, call, manifest: saved ? bytes.subarray(end + 1) : undefined };
}
