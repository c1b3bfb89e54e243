import type { CheckpointClaim, CheckpointName } from "../../checkpoint-store.ts";
import type { OpenContext, Partition } from "../../contracts.ts";
import { ConfigError, DamagedStoreError, messageOf } from "../../errors.ts";
import type { Plan } from "../plan.ts";
import type { CheckpointOptions } from "./checkpoints.ts";
import { PartitionCheckpoints } from "./checkpoints.ts";
import { DamagedCheckpointError, decodeManifest, NewerCheckpointError, partsIn } from "./manifest.ts";
import { StorePatience } from "./patience.ts";
import type { LoadedCheckpoint } from "./saved-checkpoint.ts";
import { isOfAnother, loadCheckpoint, misfitOf } from "./saved-checkpoint.ts";

/** What is needed to open the checkpoints of a partition. */
export interface OpenCheckpointsOptions {
  readonly plan: Plan;
  readonly partition: Partition;
  readonly context: OpenContext;
  readonly checkpoints: CheckpointOptions;
  /** Aborts when the partition is not to be worked on any more. */
  readonly signal: AbortSignal;
  /** The same, and aborts also for a planned stop, which need not wait for a store that is away. */
  readonly opening: AbortSignal;
  readonly waiting: (reason: string | undefined) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Whether a plan's state is kept in checkpoints: when it has state, and every step that has some says how it is saved. A step
 * of one's own that does not holds the positions back instead, and then all of them do.
 */
export function keepsCheckpoints({ steps }: Plan): boolean {
  return steps.some(({ stateful }) => stateful) && steps.every(({ stateful, memory }) => !stateful || memory !== undefined);
}

/**
 * Claims the checkpoints of a partition and loads the newest one that is whole. Waits while the store is away.
 * @throws {ConfigError} when the plan does not fit it, or nothing that was saved can be read
 */
export async function openCheckpoints(options: OpenCheckpointsOptions): Promise<PartitionCheckpoints> {
  const { plan, partition, context, checkpoints, signal, opening, waiting, failed } = options;
  const { task, clock } = context;
  const logger = context.logger.child({ partition: partition.name });
  const { interval, misfit } = checkpoints;
  const patience = new StorePatience(partition.name, { signal: opening, clock, logger, waiting });
  const claim = await patience.until((ask) => claimed({ task: task.id, partition: partition.name }, checkpoints, ask));
  const found = await loadNewest(claim, options, patience);
  const misfits = found === undefined ? undefined : misfitOf(found.manifest, plan.steps, partition.edition);
  if (misfits !== undefined && misfit === "refuse") throw misfits;
  if (found === undefined && misfit === "refuse") await refuseLostState(partition, task.id);
  await sweep(claim, patience);
  if (found === undefined) logger.debug({}, "no checkpoint: state begins empty");
  else if (misfits === undefined) logger.info({ position: found.manifest.position }, "going on from a checkpoint");
  else logger.warn({ position: found.manifest.safePosition }, `saved state is thrown away and made anew: ${messageOf(misfits)}`);
  const saving = new StorePatience(partition.name, { signal, clock, logger, waiting });
  const parts = { task, steps: plan.steps, partition, interval, claim, patience: saving, clock, logger, failed };
  // Positions in an input that is gone mean nothing in the one that took its place.
  const from = found !== undefined && isOfAnother(found.manifest, partition.edition) ? undefined : found;
  return new PartitionCheckpoints(parts, from, misfits === undefined ? "keep" : "reset");
}

/** Claims a partition; one of which nothing can be read is forgotten first where that is wanted. */
async function claimed(name: CheckpointName, { store, misfit }: CheckpointOptions, signal: AbortSignal): Promise<CheckpointClaim> {
  try {
    return await store.claim(name, signal);
  } catch (error) {
    if (!(error instanceof DamagedStoreError) || misfit === "refuse") throw error;
    await store.remove(name, signal);
    return await store.claim(name, signal);
  }
}

async function loadNewest(
  claim: CheckpointClaim,
  { context, checkpoints: { store, misfit }, partition }: OpenCheckpointsOptions,
  patience: StorePatience,
): Promise<LoadedCheckpoint | undefined> {
  const where = `task ${context.task.id}, checkpoint of ${partition.name}`;
  let damage: string | undefined;
  for (const bytes of claim.manifests) {
    try {
      const found = await patience.until((signal) => loadCheckpoint(bytes, claim, store, signal));
      if (damage !== undefined) {
        context.logger.error(
          { partition: partition.name },
          `the newest checkpoint is damaged (${damage}): going on from the one before it`,
        );
      }
      return found;
    } catch (error) {
      if (error instanceof NewerCheckpointError) throw new ConfigError([{ where, what: messageOf(error) }], { cause: error });
      if (!(error instanceof DamagedCheckpointError)) throw error;
      damage ??= messageOf(error);
    }
  }
  if (damage === undefined || misfit === "reset") return undefined;
  const what = `it is damaged: ${damage}. Put an exported one in its place (millrace checkpoints import), or begin without it: start once with --reset-state`;
  throw new ConfigError([{ where, what }]);
}

/**
 * A store that was emptied, or another one, must not look like a beginning: windows would be given with a part of their events.
 * @throws {ConfigError} when the position at which the partition begins was committed with a checkpoint
 */
async function refuseLostState(partition: Partition, task: string): Promise<void> {
  if ((await partition.committedWith?.()) !== "state") return;
  const what =
    "its position was committed together with a checkpoint, which the store does not have (any more): was it emptied, or is checkpoint.store " +
    "another? Put an exported checkpoint in its place (millrace checkpoints import), or begin with empty state at that position: start once with --reset-state";
  throw new ConfigError([{ where: `task ${task}, checkpoint of ${partition.name}`, what }]);
}

/** Deletes what a crash left behind. */
async function sweep(claim: CheckpointClaim, patience: StorePatience): Promise<void> {
  const kept = new Set<string>();
  for (const bytes of claim.manifests) {
    try {
      for (const part of partsIn(decodeManifest(bytes))) kept.add(part);
    } catch {
      // A damaged one is never gone back to.
    }
  }
  await patience.until((signal) => claim.sweep(kept, signal));
}
