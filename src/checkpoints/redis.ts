import { randomBytes } from "node:crypto";

import type { CheckpointBytes, CheckpointClaim, CheckpointName, CheckpointStore, StoredCheckpoint } from "../checkpoint-store.ts";
import { InfrastructureError } from "../errors.ts";
import { byName, safeName } from "./names.ts";
import { ownershipLost } from "./owned.ts";
import type { RedisAccess, RedisArgument } from "./redis-access.ts";
import { ADD, CLAIM, FINISH, SAVE, SWEEP } from "./redis-scripts.ts";
import { Turns } from "./turns.ts";

/** Bytes of parts in one call: Redis does nothing else while it takes one in. */
const MOST_BYTES = 4 * 1024 * 1024;
const PREFIX = "millrace:checkpoint:";
const LONGEST_NAME = 1000;

/** The keys of a partition. What is between braces decides where a cluster keeps them: together. */
function keysOf({ task, partition }: CheckpointName): readonly [string, string] {
  const key = `${PREFIX}{${safeName(task, LONGEST_NAME)}:${safeName(partition, LONGEST_NAME)}}`;
  return [key, `${key}:parts`];
}

/**
 * Keeps checkpoints in Redis: two hashes for each partition. What Redis confirms is as safe as its persistence makes it
 * (`appendonly yes`). Only the last manifest is kept.
 */
export class RedisCheckpointStore implements CheckpointStore {
  readonly #redis: RedisAccess;

  constructor(redis: RedisAccess) {
    this.#redis = redis;
  }

  claim(name: CheckpointName, signal: AbortSignal): Promise<CheckpointClaim> {
    return new Turns().run(signal, async () => {
      const owner = randomBytes(12).toString("hex");
      const answer = await this.#redis.send("EVAL", CLAIM, 2, ...keysOf(name), owner, name.task, name.partition);
      const [epoch, manifest] = answer as readonly [number, Buffer | null];
      return new RedisClaim(this.#redis, { name, epoch, manifests: manifest === null ? [] : [manifest] }, owner);
    });
  }

  list(task: string | undefined, signal: AbortSignal): Promise<readonly StoredCheckpoint[]> {
    return new Turns().run(signal, async () => {
      const pattern = `${PREFIX}{${task === undefined ? "" : `${safeName(task, LONGEST_NAME)}:`}*}`;
      const found: StoredCheckpoint[] = [];
      for (const key of await this.#keys(pattern, signal)) {
        const answer = await this.#redis.send("HMGET", key, "task", "partition", "epoch", "manifest");
        const [ofTask, partition, epoch, manifest] = answer as readonly (Buffer | null)[];
        // It was removed meanwhile.
        if (!ofTask || !partition) continue;
        const name = { task: ofTask.toString(), partition: partition.toString() };
        found.push({ name, epoch: Number(epoch?.toString()), manifests: manifest ? [manifest] : [] });
      }
      return found.sort(byName);
    });
  }

  part(name: CheckpointName, id: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return new Turns().run(signal, async () => {
      const part = await this.#redis.send("HGET", keysOf(name)[1], id);
      return (part as Buffer | null) ?? undefined;
    });
  }

  remove(name: CheckpointName, signal: AbortSignal): Promise<void> {
    return new Turns().run(signal, async () => void (await this.#redis.send("UNLINK", ...keysOf(name))));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#redis[Symbol.asyncDispose]();
  }

  async #keys(pattern: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const keys = new Set<string>();
    for (let cursor = "0"; ;) {
      const [next, found] = (await this.#redis.send("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)) as readonly [
        Buffer,
        readonly Buffer[],
      ];
      for (const key of found) keys.add(key.toString());
      cursor = next.toString();
      if (cursor === "0") return keys;
      signal.throwIfAborted();
    }
  }
}

class RedisClaim implements CheckpointClaim {
  readonly name: CheckpointName;
  readonly epoch: number;
  readonly manifests: readonly Uint8Array[];
  readonly #redis: RedisAccess;
  readonly #owner: string;
  readonly #turns = new Turns();
  #calls = 0;
  #finishing = false;

  constructor(redis: RedisAccess, { name, epoch, manifests }: StoredCheckpoint, owner: string) {
    this.name = name;
    this.epoch = epoch;
    this.manifests = manifests;
    this.#redis = redis;
    this.#owner = owner;
  }

  save(checkpoint: CheckpointBytes, signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, async () => {
      const { manifest, added, dropped } = checkpoint;
      const groups = grouped(added);
      const last = groups.pop() ?? [];
      for (const group of groups) {
        signal.throwIfAborted();
        await this.#run(ADD, group);
      }
      signal.throwIfAborted();
      await this.#run(SAVE, [++this.#calls, asBuffer(manifest), dropped.length, ...dropped, ...last]);
    });
  }

  finish(signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, async () => {
      const again = this.#finishing;
      this.#finishing = true;
      await this.#run(FINISH, [], again ? "missing" : undefined);
    });
  }

  sweep(parts: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    return this.#turns.run(signal, () => this.#run(SWEEP, [...parts]));
  }

  /** @param alsoRight an answer that means that it was done before */
  async #run(script: string, args: readonly RedisArgument[], alsoRight?: string): Promise<void> {
    const answer = String(await this.#redis.send("EVAL", script, 2, ...keysOf(this.name), this.#owner, ...args));
    if (answer === "done" || answer === alsoRight) return;
    if (answer === "lost" || answer === "missing") throw ownershipLost(this.name);
    throw new InfrastructureError(`Redis: a later save came before this one (${answer})`);
  }
}

/** Names and bytes of parts, as many in each list as one call takes. */
function grouped(parts: ReadonlyMap<string, Uint8Array>): RedisArgument[][] {
  const groups: RedisArgument[][] = [];
  let room = 0;
  for (const [id, bytes] of parts) {
    if (groups.length === 0 || room < bytes.length) {
      groups.push([]);
      room = MOST_BYTES;
    }
    room -= bytes.length;
    groups.at(-1)?.push(id, asBuffer(bytes));
  }
  return groups;
}

/** The client takes bytes as a Buffer only. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
