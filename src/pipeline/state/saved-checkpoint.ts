import { crc32 } from "node:zlib";

import type { CheckpointClaim, CheckpointStore } from "../../checkpoint-store.ts";
import { ConfigError } from "../../errors.ts";
import type { PlannedStep } from "../plan.ts";
import type { Segment } from "./item-log.ts";
import type { Bytes, Manifest, SavedStepEntry } from "./manifest.ts";
import { DamagedCheckpointError, decodeManifest } from "./manifest.ts";
import { unpackSegment } from "./segments.ts";
import type { SavedStep } from "./step-state.ts";

/** Parts that are read from a store at a time. */
const AT_A_TIME = 8;

/** A checkpoint with everything that it speaks of, read and found whole. */
export interface LoadedCheckpoint {
  readonly manifest: Manifest;
  /** By the step's name. */
  readonly steps: ReadonlyMap<string, SavedStep>;
}

/**
 * Reads a checkpoint with its parts.
 * @throws {DamagedCheckpointError} when something of it is not as it was written
 * @throws {NewerCheckpointError} when a newer Millrace has written it
 */
export async function loadCheckpoint(
  bytes: Uint8Array,
  claim: Pick<CheckpointClaim, "name">,
  store: Pick<CheckpointStore, "part">,
  signal: AbortSignal,
): Promise<LoadedCheckpoint> {
  const manifest = decodeManifest(bytes);
  const read = (entry: Bytes) => wholeBytes(entry, (id) => store.part(claim.name, id, signal));
  const steps = new Map<string, SavedStep>();
  for (const entry of manifest.steps) steps.set(entry.name, await loadStep(entry, read));
  return { manifest, steps };
}

async function loadStep(entry: SavedStepEntry, read: (bytes: Bytes) => Promise<Uint8Array>): Promise<SavedStep> {
  const value = await read(entry.value);
  const loaded: Uint8Array[] = [];
  for (let at = 0; at < entry.segments.length; at += AT_A_TIME) {
    const some = entry.segments.slice(at, at + AT_A_TIME);
    loaded.push(...(await Promise.all(some.map(({ bytes }) => read(bytes)))));
  }
  return { value, segments: segmentsOf(entry, loaded) };
}

async function* segmentsOf({ segments }: SavedStepEntry, loaded: (Uint8Array | undefined)[]): AsyncGenerator<Segment> {
  for (const [index, { number, weight }] of segments.entries()) {
    const bytes = loaded[index] as Uint8Array;
    // What is unpacked need not be kept twice.
    loaded[index] = undefined;
    yield { number, weight, blocks: await unpackSegment(bytes) };
  }
}

async function wholeBytes(bytes: Bytes, part: (id: string) => Promise<Uint8Array | undefined>): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes;
  const parts = await Promise.all(
    bytes.parts.map(async (id) => {
      const found = await part(id);
      if (found === undefined) throw new DamagedCheckpointError(`its part ${id} is missing`);
      return found;
    }),
  );
  const whole = Buffer.concat(parts);
  if (whole.length !== bytes.length || crc32(whole) !== bytes.crc) {
    throw new DamagedCheckpointError(`the checksum of its part ${bytes.parts.join(", ")} is wrong`);
  }
  return whole;
}

/**
 * Why a plan can't go on with a checkpoint: an error that names the first step whose state does not fit, and says what to do.
 * Undefined when it can.
 */
export function misfitOf(manifest: Manifest, steps: readonly PlannedStep[], edition: string | undefined): ConfigError | undefined {
  const { task, partition } = manifest;
  const where = `task ${task}, checkpoint of ${partition}`;
  const remedy = "start it once with --reset-state to make the state anew from where the input still has it, or undo the change";
  const misfit = (what: string) => new ConfigError([{ where, what: `${what}: ${remedy}` }]);
  for (const saved of manifest.steps) {
    const step = steps.find(({ name }) => name === saved.name);
    if (step?.memory === undefined)
      return misfit(`the state of the step "${saved.name}" was saved, and the pipeline has no such step any more`);
    if (step.memory.shape !== saved.shape) {
      return misfit(`the saved state of the step "${saved.name}" does not fit: it was ${saved.shape}, and is now ${step.memory.shape}`);
    }
  }
  return isOfAnother(manifest, edition)
    ? misfit(`the input ${partition} is not the one that was read: it was made anew or replaced since`)
    : undefined;
}

/** Whether a checkpoint is of another input than that of this edition, which took its place under the same name. */
export function isOfAnother(manifest: Manifest, edition: string | undefined): boolean {
  return manifest.edition !== undefined && edition !== undefined && manifest.edition !== edition;
}
