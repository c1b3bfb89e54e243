/** Whole checkpoints taken out of a store and put into one. */
import type { CheckpointName, CheckpointStore } from "../../checkpoint-store.ts";
import { InfrastructureError, messageOf } from "../../errors.ts";
import type { ArchivedCheckpoint } from "./archive.ts";
import { ArchiveError } from "./archive.ts";
import type { Bytes, Manifest } from "./manifest.ts";
import { DamagedCheckpointError, NewerCheckpointError, partsIn } from "./manifest.ts";
import { claimOver, replaceManifest, seeManifest } from "./operated-checkpoints.ts";
import { loadCheckpoint } from "./saved-checkpoint.ts";

/** How often a checkpoint is read again that its owner replaced while its parts were read. */
const MOST_ATTEMPTS = 20;

/**
 * Reads the newest checkpoint of a partition that is whole, while its owner may go on saving others.
 * @returns undefined when nothing is saved
 * @throws {DamagedCheckpointError} when nothing that is saved is whole
 */
export async function takeCheckpoint(
  store: CheckpointStore,
  name: CheckpointName,
  signal: AbortSignal,
): Promise<ArchivedCheckpoint | undefined> {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const stored = (await store.list(name.task, signal)).find((one) => one.name.partition === name.partition);
    if (stored?.fault !== undefined) throw new DamagedCheckpointError(stored.fault);
    const [newest] = stored?.manifests ?? [];
    if (stored === undefined || newest === undefined) return undefined;
    let damage: unknown;
    for (const manifest of stored.manifests) {
      try {
        const parts = new Map<string, Uint8Array>();
        const kept: Pick<CheckpointStore, "part"> = {
          part: async (of, id) => {
            const bytes = await store.part(of, id, signal);
            if (bytes !== undefined) parts.set(id, bytes);
            return bytes;
          },
        };
        await loadCheckpoint(manifest, { name }, kept, signal);
        return { name, manifest, parts };
      } catch (error) {
        if (error instanceof NewerCheckpointError || !(error instanceof DamagedCheckpointError)) throw error;
        damage ??= error;
      }
    }
    const [now] = (await store.list(name.task, signal)).find((one) => one.name.partition === name.partition)?.manifests ?? [];
    if (now !== undefined && Buffer.compare(now, newest) === 0) throw damage;
  }
  throw new InfrastructureError(`the checkpoints of ${name.partition} are replaced faster than they can be read: try again`);
}

/**
 * Looks whether an archived checkpoint is whole and of this task.
 * @throws {ArchiveError} when it is not
 */
export async function checkArchived({ name, manifest, parts }: ArchivedCheckpoint, task: string, signal: AbortSignal): Promise<Manifest> {
  const where = `checkpoint of ${name.partition}`;
  if (name.task !== task) throw new ArchiveError(`it has checkpoints of task "${name.task}", not of "${task}"`);
  try {
    return (await loadCheckpoint(manifest, { name }, { part: async (_, id) => parts.get(id) }, signal)).manifest;
  } catch (error) {
    if (error instanceof DamagedCheckpointError) throw new ArchiveError(`${where}: ${messageOf(error)}`, { cause: error });
    throw error;
  }
}

/** Puts a checkpoint that was checked in the place of what is saved, as one of that task, and fences the partition's owner. */
export async function putCheckpoint(
  store: CheckpointStore,
  { name: { partition }, manifest: bytes, parts }: ArchivedCheckpoint,
  task: string,
  signal: AbortSignal,
): Promise<void> {
  const seen = seeManifest(bytes);
  if (seen.state !== "readable") throw new ArchiveError(`checkpoint of ${partition}: ${seen.why}`);
  const claim = await claimOver(store, { task, partition }, signal);
  // Names of parts are unique in a store only by the epoch that made them.
  const names = new Map([...partsIn(seen.manifest)].map((id, index) => [id, `${claim.epoch}-0-${index}`]));
  const renamed = (entry: Bytes): Bytes =>
    entry instanceof Uint8Array ? entry : { ...entry, parts: entry.parts.map((id) => names.get(id) as string) };
  const steps = seen.manifest.steps.map(({ value, segments, ...step }) => ({
    ...step,
    value: renamed(value),
    segments: segments.map((segment) => ({ ...segment, bytes: renamed(segment.bytes) })),
  }));
  const added = new Map([...names].map(([id, as]) => [as, parts.get(id) as Uint8Array]));
  await replaceManifest(claim, { ...seen.manifest, task, number: 0, steps }, added, signal);
}
