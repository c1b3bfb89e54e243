import type { CheckpointBytes, CheckpointClaim, CheckpointName, CheckpointStore, StoredCheckpoint } from "../../src/checkpoint-store.ts";
import { OwnershipLostError } from "../../src/errors.ts";

interface Entry {
  readonly name: CheckpointName;
  epoch: number;
  manifest: Uint8Array | undefined;
  readonly parts: Map<string, Uint8Array>;
}

/** A store of checkpoints in the memory of a test, which outlives the runs of the test. */
export class MemoryCheckpoints implements CheckpointStore {
  readonly entries = new Map<string, Entry>();
  /** Called before each request; what it throws, or waits for, is the request's. */
  before: (request: "claim" | "save" | "finish" | "sweep" | "part") => void | Promise<void> = () => undefined;
  /** Saved checkpoints and the bytes that each wrote. */
  readonly saves: { readonly name: CheckpointName; readonly bytes: number; readonly manifest: Uint8Array }[] = [];

  async claim(name: CheckpointName): Promise<CheckpointClaim> {
    await this.before("claim");
    const entry = this.#entry(name);
    const epoch = ++entry.epoch;
    const own = () => {
      if (entry.epoch !== epoch) throw new OwnershipLostError(`epoch ${entry.epoch} has taken over from ${epoch}`);
    };
    return {
      name,
      epoch,
      manifests: entry.manifest === undefined ? [] : [entry.manifest],
      save: async ({ manifest, added, dropped }: CheckpointBytes) => {
        await this.before("save");
        own();
        for (const [id, bytes] of added) entry.parts.set(id, bytes.slice());
        entry.manifest = manifest.slice();
        for (const id of dropped) entry.parts.delete(id);
        const bytes = [...added.values()].reduce((sum, part) => sum + part.length, manifest.length);
        this.saves.push({ name, bytes, manifest: entry.manifest });
      },
      finish: async () => {
        await this.before("finish");
        own();
        entry.manifest = undefined;
        entry.parts.clear();
      },
      sweep: async (kept) => {
        await this.before("sweep");
        own();
        for (const id of entry.parts.keys()) if (!kept.has(id)) entry.parts.delete(id);
      },
    };
  }

  list(task: string | undefined): Promise<readonly StoredCheckpoint[]> {
    const all = [...this.entries.values()].filter(({ name }) => task === undefined || name.task === task);
    return Promise.resolve(all.map(({ name, epoch, manifest }) => ({ name, epoch, manifests: manifest === undefined ? [] : [manifest] })));
  }

  async part(name: CheckpointName, id: string): Promise<Uint8Array | undefined> {
    await this.before("part");
    return this.#entry(name).parts.get(id);
  }

  remove(name: CheckpointName): Promise<void> {
    this.entries.delete(JSON.stringify(name));
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #entry(name: CheckpointName): Entry {
    const key = JSON.stringify(name);
    const entry = this.entries.get(key) ?? { name, epoch: 0, manifest: undefined, parts: new Map() };
    this.entries.set(key, entry);
    return entry;
  }
}
