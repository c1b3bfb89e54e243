import type { CheckpointStoreSettings } from "../checkpoint-settings.ts";
import type { CheckpointStore } from "../checkpoint-store.ts";
import { PART_BYTES } from "../checkpoint-store.ts";
import type { Lease, OpenContext } from "../contracts.ts";
import { FileCheckpointStore } from "./file.ts";

/** What of a context a store needs. */
export type StoreContext = Pick<OpenContext, "connections" | "shared" | "logger" | "clock">;

/**
 * Leases the process's checkpoint store. Nothing is asked of it yet: a store that is away is told of by its calls.
 */
export function openCheckpointStore(settings: CheckpointStoreSettings, context: StoreContext): Promise<Lease<CheckpointStore>> {
  return context.shared.lease(`checkpoints ${JSON.stringify(settings)}`, () => open(settings, context));
}

/** Clients are loaded when they are needed. */
async function open(settings: CheckpointStoreSettings, context: StoreContext): Promise<CheckpointStore> {
  if ("file" in settings) return new FileCheckpointStore(settings.file.path, context.logger);
  if ("redis" in settings) {
    const { url } = settings.redis;
    const [{ RedisConnectionHandle, redisLeaseKey }, { RedisAccess }, { RedisCheckpointStore }] = await Promise.all([
      import("../redis/connection.ts"),
      import("./redis-access.ts"),
      import("./redis.ts"),
    ]);
    const lease = await context.shared.lease(redisLeaseKey(url), async () => new RedisConnectionHandle(url));
    return new RedisCheckpointStore(new RedisAccess(lease, url, context.logger));
  }
  const [{ leaseLink }, { KvBucket }, { NatsKvCheckpointStore }] = await Promise.all([
    import("../nats/connection.ts"),
    import("../nats/kv.ts"),
    import("./nats-kv.ts"),
  ]);
  const link = await leaseLink(context);
  // A manifest may be a little larger than a part, and travels with names and an owner.
  return new NatsKvCheckpointStore(new KvBucket(link.resource, settings.natsKv.bucket, PART_BYTES * 1.5, context.clock), link);
}
