import { randomBytes } from "node:crypto";

import type { CheckpointBytes, CheckpointClaim, CheckpointName, CheckpointStore, StoredCheckpoint } from "../checkpoint-store.ts";
import type { Lease } from "../contracts.ts";
import { InfrastructureError } from "../errors.ts";
import type { NatsLink } from "../nats/connection.ts";
import type { KvBucket } from "../nats/kv.ts";
import { byName, safeName } from "./names.ts";
import { entryBytes, readEntry } from "./nats-kv-entry.ts";
import { ownershipLost } from "./owned.ts";
import { forEachOf, Turns } from "./turns.ts";

const REQUESTS_AT_ONCE = 8;
/** How often a claim tries again when another came first. */
const MOST_ATTEMPTS = 50;
const LONGEST_NAME = 400;

const nameKey = ({ task, partition }: CheckpointName): string => `${safeName(task, LONGEST_NAME)}.${safeName(partition, LONGEST_NAME)}`;
const manifestKey = (name: CheckpointName): string => `manifest.${nameKey(name)}`;
const partKey = (name: CheckpointName, id: string): string => `part.${nameKey(name)}.${id}`;

/**
 * Keeps checkpoints in a key-value bucket of NATS: an entry with the last manifest of each partition, which says whose it is and is
 * replaced by compare-and-set, and one for each part.
 */
export class NatsKvCheckpointStore implements CheckpointStore {
  readonly #bucket: KvBucket;
  readonly #link: Lease<NatsLink>;

  constructor(bucket: KvBucket, link: Lease<NatsLink>) {
    this.#bucket = bucket;
    this.#link = link;
  }

  claim(name: CheckpointName, signal: AbortSignal): Promise<CheckpointClaim> {
    return new Turns().run(signal, async () => {
      const owner = randomBytes(12).toString("hex");
      for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        const last = await this.#bucket.get(manifestKey(name));
        const found = last === undefined || last.deleted ? undefined : readEntry(last.value, name);
        const entry = { ...name, epoch: (found?.epoch ?? 0) + 1, owner, call: 0, manifest: found?.manifest };
        const revision = await this.#bucket.update(manifestKey(name), entryBytes(entry), last?.revision ?? 0);
        if (revision !== undefined) return new NatsKvClaim(this.#bucket, name, { epoch: entry.epoch, owner, revision }, found?.manifest);
        signal.throwIfAborted();
      }
      throw new InfrastructureError(`checkpoints of task ${name.task}, partition ${name.partition}: others claim them again and again`);
    });
  }

  list(task: string | undefined, signal: AbortSignal): Promise<readonly StoredCheckpoint[]> {
    return new Turns().run(signal, async () => {
      const found: StoredCheckpoint[] = [];
      const keys = await this.#bucket.keys(`manifest.${task === undefined ? "*" : safeName(task, LONGEST_NAME)}.*`);
      await forEachOf(keys, REQUESTS_AT_ONCE, async (key) => {
        signal.throwIfAborted();
        const last = await this.#bucket.get(key);
        if (last === undefined || last.deleted) return;
        const { task: ofTask, partition, epoch, manifest } = readEntry(last.value, key);
        found.push({ name: { task: ofTask, partition }, epoch, manifests: manifest === undefined ? [] : [manifest] });
      });
      return found.sort(byName);
    });
  }

  part(name: CheckpointName, id: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return new Turns().run(signal, () => this.#bucket.getWritten(partKey(name, id)));
  }

  remove(name: CheckpointName, signal: AbortSignal): Promise<void> {
    return new Turns().run(signal, async () => {
      const mark = await this.#bucket.delete(manifestKey(name));
      if (mark !== undefined) await purgeAll(this.#bucket, name, mark);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }
}

/** Takes everything of a partition away that was there before it was marked as deleted, then the mark: revisions are never used again. */
async function purgeAll(bucket: KvBucket, name: CheckpointName, mark: number): Promise<void> {
  await bucket.purge(partKey(name, ">"), mark);
  await bucket.purge(manifestKey(name), mark + 1);
}

interface Owned {
  readonly epoch: number;
  readonly owner: string;
  readonly revision: number;
}

class NatsKvClaim implements CheckpointClaim {
  readonly name: CheckpointName;
  readonly epoch: number;
  readonly manifests: readonly Uint8Array[];
  readonly #bucket: KvBucket;
  readonly #owner: string;
  readonly #turns = new Turns();
  /** Of the last entry with the manifest that is known to be ours. */
  #revision: number;
  #calls = 0;
  /** Begun: it is not known whether it was done. */
  #finishing = false;

  constructor(bucket: KvBucket, name: CheckpointName, { epoch, owner, revision }: Owned, manifest: Uint8Array | undefined) {
    this.name = name;
    this.epoch = epoch;
    this.manifests = manifest === undefined ? [] : [manifest];
    this.#bucket = bucket;
    this.#owner = owner;
    this.#revision = revision;
  }

  save({ manifest, added, dropped }: CheckpointBytes, signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, async () => {
      await forEachOf(added, REQUESTS_AT_ONCE, async ([id, bytes]) => {
        signal.throwIfAborted();
        await this.#bucket.put(partKey(this.name, id), bytes);
      });
      signal.throwIfAborted();
      const call = ++this.#calls;
      const bytes = entryBytes({ ...this.name, epoch: this.epoch, owner: this.#owner, call, manifest });
      await this.#replace(call, () => this.#bucket.update(manifestKey(this.name), bytes, this.#revision));
      await forEachOf(dropped, REQUESTS_AT_ONCE, (id) => this.#bucket.purge(partKey(this.name, id)));
    });
  }

  finish(signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, async () => {
      const again = this.#finishing;
      this.#finishing = true;
      if (again && (await this.#lastOwn()) === "missing") return;
      const mark = await this.#replace(undefined, () => this.#bucket.delete(manifestKey(this.name), this.#revision));
      await purgeAll(this.#bucket, this.name, mark);
    });
  }

  sweep(parts: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, async () => {
      // Listed before it is asked who the owner is: what a later owner writes is not in the list.
      const all = await this.#bucket.keys(partKey(this.name, "*"));
      const last = await this.#lastOwn();
      if (last === undefined || last === "missing") throw ownershipLost(this.name);
      const kept = new Set([...parts].map((id) => partKey(this.name, id)));
      const unused = all.filter((key) => !kept.has(key));
      await forEachOf(unused, REQUESTS_AT_ONCE, (key) => this.#bucket.purge(key));
    });
  }

  /**
   * Replaces the entry with the manifest. When it has another revision than it had, that may be our own write of a call whose
   * answer was lost.
   */
  async #replace(call: number | undefined, write: () => Promise<number | undefined>): Promise<number> {
    for (;;) {
      const revision = await write();
      if (revision !== undefined) return (this.#revision = revision);
      const last = await this.#lastOwn();
      if (last === undefined || last === "missing") throw ownershipLost(this.name);
      this.#revision = last.revision;
      if (last.call === call) return last.revision;
    }
  }

  /** The entry that is there, if it is ours. */
  async #lastOwn(): Promise<{ readonly revision: number; readonly call: number } | "missing" | undefined> {
    const last = await this.#bucket.get(manifestKey(this.name));
    if (last === undefined || last.deleted) return "missing";
    const { owner, call } = readEntry(last.value, this.name);
    return owner === this.#owner ? { revision: last.revision, call } : undefined;
  }
}
