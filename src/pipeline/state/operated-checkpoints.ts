/** Checkpoints as an operator sees and changes them, beside whoever works on the partition. */
import type { Position } from "../../batch.ts";
import type { CheckpointClaim, CheckpointName, CheckpointStore, StoredCheckpoint } from "../../checkpoint-store.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import { VERSION } from "../../version.ts";
import type { PlannedStep } from "../plan.ts";
import { WATERMARK_SHAPE } from "../time-by.ts";
import type { Manifest, SavedStepEntry } from "./manifest.ts";
import { DamagedCheckpointError, decodeManifest, encodeManifest, NewerCheckpointError, partsIn } from "./manifest.ts";
import { unpackState } from "./plain-data.ts";

/** A saved manifest as far as this Millrace can read it. */
export type SeenManifest =
  | { readonly state: "readable"; readonly manifest: Manifest }
  | { readonly state: "damaged" | "newer"; readonly why: string };

/** Reads a manifest, not the parts that it speaks of. */
export function seeManifest(bytes: Uint8Array): SeenManifest {
  try {
    return { state: "readable", manifest: decodeManifest(bytes) };
  } catch (error) {
    if (error instanceof DamagedCheckpointError) return { state: "damaged", why: messageOf(error) };
    if (error instanceof NewerCheckpointError) return { state: "newer", why: messageOf(error) };
    throw error;
  }
}

/** The newest manifest that can be read; undefined when there is none. */
export function newestReadable(manifests: StoredCheckpoint["manifests"]): Manifest | undefined {
  for (const bytes of manifests) {
    const seen = seeManifest(bytes);
    if (seen.state === "readable") return seen.manifest;
  }
  return undefined;
}

/** The watermark that a checkpoint goes on with: that of its last `timeBy`; undefined when it has none. */
export function watermarkIn({ steps }: Manifest): number | undefined {
  const saved = steps.findLast(({ shape }) => shape === WATERMARK_SHAPE)?.value;
  const value = saved instanceof Uint8Array ? unpackState(saved) : undefined;
  return typeof value === "number" ? value : undefined;
}

/** Bytes of a step's state. */
export function sizeOf({ value, segments }: SavedStepEntry): number {
  return segments.reduce((sum, { bytes }) => sum + bytes.length, value.length);
}

/** What became of a checkpoint that was reset. */
export type Reset =
  /** Its state will be made anew from that position on. */
  | { readonly how: "reset"; readonly position: Position; readonly before: Position }
  /** Nothing of it could be read, so it is gone: the source says where to begin. */
  | { readonly how: "removed"; readonly why: string }
  /** Nothing was saved. */
  | { readonly how: "empty" };

/**
 * Throws the saved state of a partition away and fences its owner. The watermarks of the plan's `timeBy` steps stay, so that windows that
 * were closed are not given again, and reading begins where everything else can be made anew from.
 */
export async function resetCheckpoint(
  store: CheckpointStore,
  name: CheckpointName,
  steps: readonly PlannedStep[],
  signal: AbortSignal,
): Promise<Reset> {
  let claim: CheckpointClaim;
  try {
    claim = await store.claim(name, signal);
  } catch (error) {
    // Nothing of it can be read, by this version at least.
    if (!(error instanceof ConfigError)) throw error;
    await store.remove(name, signal);
    return { how: "removed", why: messageOf(error) };
  }
  const [newest] = claim.manifests;
  if (newest === undefined) return { how: "empty" };
  const manifest = newestReadable(claim.manifests);
  if (manifest === undefined) {
    await store.remove(name, signal);
    const seen = seeManifest(newest);
    return { how: "removed", why: seen.state === "readable" ? "" : seen.why };
  }
  const stays = ({ name: saved, shape }: SavedStepEntry) =>
    steps.some((step) => step.name === saved && !step.stateful && step.memory?.shape === shape);
  const position = manifest.safePosition;
  await replaceManifest(claim, { ...manifest, position, steps: manifest.steps.filter(stays) }, new Map(), signal);
  return { how: "reset", position, before: manifest.position };
}

/** Puts a checkpoint without any state in the place of what is saved of a partition, and fences its owner. */
export async function putPosition(
  store: CheckpointStore,
  name: CheckpointName,
  { product, position }: { readonly product: string; readonly position: Position },
  signal: AbortSignal,
): Promise<void> {
  const claim = await claimOver(store, name, signal);
  const edition = newestReadable(claim.manifests)?.edition;
  const { task, partition } = name;
  const made = { time: Date.now(), version: VERSION, number: 0 };
  await replaceManifest(
    claim,
    { task, product, partition, position, safePosition: position, edition, ...made, steps: [] },
    new Map(),
    signal,
  );
}

/** Claims a partition; what is there and can't be read is removed. */
export async function claimOver(store: CheckpointStore, name: CheckpointName, signal: AbortSignal): Promise<CheckpointClaim> {
  try {
    const claim = await store.claim(name, signal);
    if (claim.manifests.length === 0 || newestReadable(claim.manifests) !== undefined) return claim;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
  }
  await store.remove(name, signal);
  return await store.claim(name, signal);
}

/** Saves a manifest with new parts, and drops those of the one before. */
export async function replaceManifest(
  claim: CheckpointClaim,
  manifest: Manifest,
  added: ReadonlyMap<string, Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const before = newestReadable(claim.manifests);
  const kept = partsIn(manifest);
  const dropped = before === undefined ? [] : [...partsIn(before)].filter((part) => !kept.has(part));
  await claim.save({ manifest: encodeManifest(manifest), added, dropped }, signal);
}
