import type { CheckpointName } from "../checkpoint-store.ts";
import { OwnershipLostError } from "../errors.ts";

/** What a former owner is told. */
export function ownershipLost({ task, partition }: CheckpointName): OwnershipLostError {
  return new OwnershipLostError(
    `the checkpoints of task ${task}, partition ${partition} belong to another by now, or were removed: nothing was saved`,
  );
}
