/**
 * What the engine asks of a store of checkpoints.
 */
/** Names the checkpoints of one partition of a task. */
export interface CheckpointName {
  readonly task: string;
  /** The partition's name: `orders/3`. */
  readonly partition: string;
}

/** What a store has of one partition, read without claiming it. */
export interface StoredCheckpoint {
  readonly name: CheckpointName;
  /** How often it was claimed. */
  readonly epoch: number;
  /** The saved manifests, newest first: stores that can keep the one before. Empty when it was claimed but nothing was saved yet. */
  readonly manifests: readonly Uint8Array[];
  /** Why none of them can be read, where the store finds that itself. */
  readonly fault?: string | undefined;
}

/**
 * Keeps checkpoints. To a store they are bytes: a manifest, replaced in one atomic step, and parts, each written once under
 * a name of its own before the manifest that speaks of it, and dropped after the first manifest that does not.
 *
 * No call waits an outage out: it rejects with an InfrastructureError within seconds, and can be made again.
 */
export interface CheckpointStore extends AsyncDisposable {
  /**
   * Makes the caller the owner of a partition's checkpoints: saves of whoever claimed it before are refused from now on.
   * @throws {DamagedStoreError} when nothing that is saved can be read; it can be removed
   */
  claim(name: CheckpointName, signal: AbortSignal): Promise<CheckpointClaim>;
  /** What is saved of a task, or of all tasks; in the order of task and partition. */
  list(task: string | undefined, signal: AbortSignal): Promise<readonly StoredCheckpoint[]>;
  /** A part that a manifest speaks of; undefined when it is not there. */
  part(name: CheckpointName, id: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** Forgets everything of a partition, and fences whoever owns it. */
  remove(name: CheckpointName, signal: AbortSignal): Promise<void>;
}

/** The right to save the checkpoints of a partition, until another claims it. */
export interface CheckpointClaim extends StoredCheckpoint {
  /**
   * Writes the added parts, then puts the manifest in the place of the last one in one atomic step, then drops parts that no
   * kept manifest speaks of. It can be called again with the same checkpoint when it is not known whether it was saved.
   * @throws {OwnershipLostError} when another has claimed the partition since: then nothing was changed
   * @throws {InfrastructureError} when the store is away, full or refuses
   */
  save(checkpoint: CheckpointBytes, signal: AbortSignal): Promise<void>;
  /** Forgets the partition's checkpoints: its input is finished. Throws like `save`. */
  finish(signal: AbortSignal): Promise<void>;
  /** Deletes parts that are not among these: what a crash left behind. Throws like `save`. */
  sweep(parts: ReadonlySet<string>, signal: AbortSignal): Promise<void>;
}

/** One checkpoint as a store takes it. */
export interface CheckpointBytes {
  readonly manifest: Uint8Array;
  /** New parts by name: letters, digits and hyphens. Each of at most PART_BYTES bytes. */
  readonly added: ReadonlyMap<string, Uint8Array>;
  /** Parts that the manifest before spoke of and this one does not. */
  readonly dropped: readonly string[];
}

/** The most bytes of a part of a checkpoint, and about those of a manifest: a NATS server takes messages of 1 MiB unless it is told otherwise. */
export const PART_BYTES = 512 * 1024;
