import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";

import { abortable } from "../abortable.ts";
import type { CheckpointClaim, CheckpointName, CheckpointStore, StoredCheckpoint } from "../checkpoint-store.ts";
import type { Logger } from "../contracts.ts";
import { ConfigError, InfrastructureError, messageOf } from "../errors.ts";
import { FileClaim } from "./file-claim.ts";
import { manifestFile, unsealed } from "./file-format.ts";
import type { Claimant } from "./file-state.ts";
import {
  epochContent,
  epochFile,
  epochOf,
  highestEpoch,
  isEpoch,
  isOwner,
  manifestName,
  partFile,
  readEpoch,
  readManifests,
} from "./file-state.ts";
import {
  bytesOf,
  createFile,
  deleteEmptyFolder,
  deleteFiles,
  deleteFolder,
  makeFolder,
  moveFolder,
  namesIn,
  putFile,
  syncFolder,
} from "./folder.ts";
import { byName, safeName } from "./names.ts";
import { Turns } from "./turns.ts";

/** Begins the names of folders that are being deleted; no encoded name of a task begins so. */
const REMOVED = "=-removed-";
/** Neither a folder that is being deleted, nor the lock, nor what a file system has of its own. */
const isTaskFolder = (name: string): boolean => /^(?!=-)[a-z0-9_=-]+$/.test(name);
/** File names have at most 255 bytes. */
const LONGEST_NAME = 200;
/** How often a claim tries again when another came first. */
const MOST_ATTEMPTS = 50;

/**
 * Keeps checkpoints in a folder: a folder of each task, in it one of each partition. Several processes may use it, without locks:
 * file-state.ts says how a former owner is fenced. What is confirmed is on the disk. The manifest before the last one is kept.
 */
export class FileCheckpointStore implements CheckpointStore {
  readonly #root: string;
  readonly #logger: Logger;
  #swept: Promise<void> | undefined;

  /** @param path of the folder, absolute; it is made when it is missing */
  constructor(path: string, logger: Logger) {
    this.#root = path;
    this.#logger = logger;
  }

  claim(name: CheckpointName, signal: AbortSignal): Promise<CheckpointClaim> {
    return new Turns().run(signal, async () => {
      for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        const claim = await this.#tryClaim(name);
        if (claim !== undefined) return claim;
        signal.throwIfAborted();
      }
      throw new InfrastructureError(`checkpoints at ${this.#folderOf(name)}: others claim them again and again`);
    });
  }

  list(task: string | undefined, signal: AbortSignal): Promise<readonly StoredCheckpoint[]> {
    return new Turns().run(signal, async () => {
      const folders = task === undefined ? ((await namesIn(this.#root)) ?? []) : [safeName(task, LONGEST_NAME)];
      const found: StoredCheckpoint[] = [];
      for (const folder of folders.filter(isTaskFolder)) {
        for (const partition of (await namesIn(join(this.#root, folder))) ?? []) {
          signal.throwIfAborted();
          const stored = await this.#stored(join(this.#root, folder, partition));
          if (stored !== undefined) found.push(stored);
        }
      }
      return found.sort(byName);
    });
  }

  async part(name: CheckpointName, id: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const path = join(this.#folderOf(name), partFile(id));
    const bytes = await abortable(bytesOf(path), signal);
    if (bytes === undefined) return undefined;
    const part = unsealed("part", bytes, path);
    if (part === undefined) this.#logger.warn({ file: path }, "a part of a checkpoint is damaged");
    return part;
  }

  remove(name: CheckpointName, signal: AbortSignal): Promise<void> {
    return new Turns().run(signal, () => this.#discard(this.#folderOf(name)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #folderOf({ task, partition }: CheckpointName): string {
    return join(this.#root, safeName(task, LONGEST_NAME), safeName(partition, LONGEST_NAME));
  }

  /** Undefined when another came first. */
  async #tryClaim(name: CheckpointName): Promise<CheckpointClaim | undefined> {
    const folder = this.#folderOf(name);
    await makeFolder(folder);
    this.#swept ??= this.#deleteRemoved();
    await this.#swept;
    const claimant: Claimant = { epoch: highestEpoch((await namesIn(folder)) ?? []) + 1, token: randomBytes(8).toString("hex") };
    if (!(await createFile(join(folder, epochFile(claimant.epoch)), epochContent(name, claimant.token)))) return undefined;
    await syncFolder(folder);
    const found = await readManifests(folder, this.#logger);
    // The last one first: were it the other way, a crash in between would make the one before it the last.
    for (const manifest of found) {
      await putFile(join(folder, manifestName(claimant, manifest.number)), String(claimant.epoch), manifestFile(manifest));
    }
    await syncFolder(folder);
    // Who was fenced meanwhile has a claim all the same, whose first save says so: were all to try again, they would fence each other for long.
    if (await isOwner(folder, claimant)) await this.#deleteFormer(folder, claimant.epoch);
    return new FileClaim({ name, folder, claimant, found, logger: this.#logger, discard: () => this.#discard(folder) });
  }

  /** Epochs last: without theirs, manifests do not count. */
  async #deleteFormer(folder: string, epoch: number): Promise<void> {
    const former = ((await namesIn(folder)) ?? []).filter((file) => (epochOf(file) ?? Infinity) < epoch);
    await deleteFiles(
      folder,
      former.filter((file) => !isEpoch(file)),
    );
    await deleteFiles(folder, former.filter(isEpoch));
  }

  /** In one step for all who look, owners too; then the files are deleted. */
  async #discard(folder: string): Promise<void> {
    const away = join(this.#root, REMOVED + randomBytes(8).toString("hex"));
    if (!(await moveFolder(folder, away))) return;
    await syncFolder(this.#root);
    await syncFolder(dirname(folder));
    await deleteFolder(away);
    await deleteEmptyFolder(dirname(folder));
  }

  /** What was moved away and not deleted when a process died. */
  async #deleteRemoved(): Promise<void> {
    const names = (await namesIn(this.#root)) ?? [];
    for (const name of names.filter((one) => one.startsWith(REMOVED))) await deleteFolder(join(this.#root, name));
  }

  async #stored(folder: string): Promise<StoredCheckpoint | undefined> {
    const epoch = highestEpoch((await namesIn(folder)) ?? []);
    for (let known = epoch; known > 0; known--) {
      const content = await readEpoch(folder, known);
      // A claim that died before it had written its name.
      if (content === undefined) continue;
      const { task, partition } = content;
      const name = { task, partition };
      try {
        const found = await readManifests(folder, this.#logger);
        return { name, epoch, manifests: found.map(({ manifest }) => manifest) };
      } catch (error) {
        // The others can be looked at all the same.
        if (!(error instanceof ConfigError)) throw error;
        return { name, epoch, manifests: [], fault: messageOf(error) };
      }
    }
    return undefined;
  }
}
