import { join } from "node:path";

import type { CheckpointBytes, CheckpointClaim, CheckpointName } from "../checkpoint-store.ts";
import type { Logger } from "../contracts.ts";
import { InfrastructureError, messageOf } from "../errors.ts";
import { manifestFile, sealed } from "./file-format.ts";
import type { Claimant, FoundManifest } from "./file-state.ts";
import { epochOf, isOwner, isPart, isTemporary, manifestName, partFile } from "./file-state.ts";
import { deleteFiles, namesIn, putFile, syncFolder } from "./folder.ts";
import { ownershipLost } from "./owned.ts";
import { forEachOf, Turns } from "./turns.ts";

/** Files that are written at once: their synchronisation overlaps. */
const WRITES_AT_ONCE = 8;

/** What the store knows of a claim that it has made. */
export interface ClaimedFolder {
  readonly name: CheckpointName;
  readonly folder: string;
  readonly claimant: Claimant;
  /** The manifests that it found, newest first. */
  readonly found: readonly FoundManifest[];
  readonly logger: Logger;
  /** Deletes the folder. */
  discard(): Promise<void>;
}

/** A claim of the file store. Its calls run one after another. */
export class FileClaim implements CheckpointClaim {
  readonly name: CheckpointName;
  readonly epoch: number;
  readonly manifests: readonly Uint8Array[];
  readonly #claimed: ClaimedFolder;
  readonly #turns = new Turns();
  /** The number of the last manifest. */
  #number: number;
  /** Parts that the manifest before the last one speaks of and the last one does not. */
  #dropped: readonly string[];
  #finished = false;

  constructor(claimed: ClaimedFolder) {
    this.name = claimed.name;
    this.epoch = claimed.claimant.epoch;
    this.manifests = claimed.found.map(({ manifest }) => manifest);
    this.#claimed = claimed;
    this.#number = claimed.found[0]?.number ?? 0;
    this.#dropped = claimed.found[0]?.dropped ?? [];
  }

  save(checkpoint: CheckpointBytes, signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, () => this.#save(checkpoint, signal));
  }

  finish(signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, async () => {
      if (this.#finished) return;
      await this.#checkOwner();
      await this.#claimed.discard();
      this.#finished = true;
    });
  }

  sweep(parts: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, async () => {
      const { folder } = this.#claimed;
      // Listed before it is asked who the owner is: what a later owner writes is not in the list.
      const files = (await namesIn(folder)) ?? [];
      await this.#checkOwner();
      const kept = new Set([...parts, ...this.#dropped].map(partFile));
      await deleteFiles(
        folder,
        files.filter((file) => (isPart(file) && !kept.has(file)) || (isTemporary(file) && (epochOf(file) ?? 0) <= this.epoch)),
      );
    });
  }

  async #save({ manifest, added, dropped }: CheckpointBytes, signal: AbortSignal): Promise<void> {
    const { folder, claimant } = this.#claimed;
    await this.#checkOwner();
    await forEachOf(added, WRITES_AT_ONCE, async ([id, bytes]) => {
      signal.throwIfAborted();
      await this.#put(partFile(id), sealed("part", [bytes]));
    });
    if (added.size > 0) await syncFolder(folder);
    signal.throwIfAborted();
    await this.#checkOwner();
    const number = this.#number + 1;
    await this.#put(manifestName(claimant, number), manifestFile({ manifest, dropped }));
    await syncFolder(folder);
    // Whoever claims it from here on finds this manifest; who came before may have missed it.
    await this.#checkOwner();
    const unused = this.#dropped;
    this.#number = number;
    this.#dropped = dropped;
    await this.#deleteUnused(unused);
  }

  /** What stays by mistake is deleted by the next save or sweep: the checkpoint is saved. */
  async #deleteUnused(parts: readonly string[]): Promise<void> {
    const { folder, claimant, logger } = this.#claimed;
    const kept = new Set([manifestName(claimant, this.#number), manifestName(claimant, this.#number - 1)]);
    try {
      const files = (await namesIn(folder)) ?? [];
      const old = files.filter((file) => file.startsWith("manifest-") && (epochOf(file) ?? Infinity) <= claimant.epoch && !kept.has(file));
      await deleteFiles(folder, [...old, ...parts.map(partFile)]);
    } catch (error) {
      logger.warn({ folder, error: messageOf(error) }, "old checkpoint files could not be deleted");
    }
  }

  async #put(file: string, chunks: readonly Uint8Array[]): Promise<void> {
    const path = join(this.#claimed.folder, file);
    if (await putFile(path, String(this.epoch), chunks)) return;
    await this.#checkOwner();
    throw new InfrastructureError(`checkpoints at ${path}: the file was taken away while it was written`);
  }

  /** @throws {OwnershipLostError} */
  async #checkOwner(): Promise<void> {
    if (!(await isOwner(this.#claimed.folder, this.#claimed.claimant))) throw ownershipLost(this.name);
  }
}
