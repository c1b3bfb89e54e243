import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";

import { Redis } from "ioredis";

import { sharedServices } from "./services/index.ts";

/** A Redis hash of the test's own, gone when the test ends. */
export interface OwnHash {
  readonly client: Redis;
  readonly url: string;
  readonly key: string;
  /** Sets a field to a value as JSON. */
  readonly put: (field: string, value: unknown) => Promise<void>;
  readonly remove: (field: string) => Promise<void>;
}

/** On the Redis that tests share. */
export async function ownHash(t: TestContext): Promise<OwnHash> {
  const services = await sharedServices(["redis"]);
  const url = services.addresses.get("redis") ?? "";
  const key = `millrace-test-${randomUUID()}`;
  const client = new Redis(url);
  t.after(async () => {
    await client.del(key);
    client.disconnect();
    await services[Symbol.asyncDispose]();
  });
  return {
    client,
    url,
    key,
    put: async (field, value) => void (await client.hset(key, field, JSON.stringify(value))),
    remove: async (field) => void (await client.hdel(key, field)),
  };
}
