/** Checkpoint stores for tests: an empty place for each, and stores on it as several processes would open them. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";

import type { CheckpointStoreSettings } from "../../src/checkpoint-settings.ts";
import type { CheckpointStore } from "../../src/checkpoint-store.ts";
import { openCheckpointStore } from "../../src/checkpoints/open.ts";
import type { RecordedContext } from "./open-context.ts";
import { openContext } from "./open-context.ts";
import { nats, redis } from "./services/index.ts";
import { tempFolder } from "./temp-folder.ts";

export interface StorePlace {
  readonly name: string;
  /** Whether the manifest before the last one is kept. */
  readonly keepsPrevious: boolean;
  prepare(t: TestContext): Promise<OpenStore>;
}

/** Opens another store on the place. */
export interface OpenStore {
  (): Promise<CheckpointStore>;
  /** Names of all that is there. */
  remains(): Promise<readonly string[]>;
}

/** A store as a process of its own would open it; it is closed when the test ends. */
export async function openStoreAt(
  t: TestContext,
  settings: CheckpointStoreSettings,
  addresses: { readonly nats?: string } = {},
): Promise<{ readonly store: CheckpointStore; readonly context: RecordedContext }> {
  const context = openContext(t, addresses);
  const lease = await openCheckpointStore(settings, context);
  t.after(() => lease[Symbol.asyncDispose]());
  return { store: lease.resource, context };
}

/** A logical database that nothing else uses. */
const REDIS_DATABASE = 9;
let buckets = 0;

export const PLACES: readonly StorePlace[] = [
  {
    name: "file",
    keepsPrevious: true,
    prepare: async (t) => {
      const path = join(tempFolder(t), "checkpoints");
      const open = async (): Promise<CheckpointStore> => (await openStoreAt(t, { file: { path } })).store;
      return Object.assign(open, { remains: async () => readdirSync(path) });
    },
  },
  {
    name: "redis",
    keepsPrevious: false,
    prepare: async (t) => {
      const url = `${await redis()}/${REDIS_DATABASE}`;
      const client = new Redis(url);
      t.after(() => client.disconnect());
      await client.flushdb();
      const open = async (): Promise<CheckpointStore> => (await openStoreAt(t, { redis: { url } })).store;
      return Object.assign(open, { remains: async () => await client.keys("*") });
    },
  },
  {
    name: "NATS KV",
    keepsPrevious: false,
    prepare: async (t) => {
      const bucket = `checkpoints-${process.pid}-${buckets++}`;
      const address = await nats();
      const client = await connect({ servers: address });
      const manager = await jetstreamManager(client);
      t.after(async () => {
        await manager.streams.delete(`KV_${bucket}`);
        await client.close();
      });
      const open = async (): Promise<CheckpointStore> => (await openStoreAt(t, { natsKv: { bucket } }, { nats: address })).store;
      const remains = async (): Promise<readonly string[]> => {
        const { state } = await manager.streams.info(`KV_${bucket}`, { subjects_filter: ">" });
        return Object.keys(state.subjects ?? {});
      };
      return Object.assign(open, { remains });
    },
  },
];
