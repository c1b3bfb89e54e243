/** Writes whose answer was lost, and which come through late or were there all the time. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";

import type { CheckpointBytes, StoredCheckpoint } from "../../src/checkpoint-store.ts";
import { SAVE } from "../../src/checkpoints/redis-scripts.ts";
import { OwnershipLostError } from "../../src/errors.ts";
import { openStoreAt } from "../support/checkpoint-places.ts";
import { nats, redis } from "../support/services/index.ts";

const signal = new AbortController().signal;
const checkpoint = (manifest: string): CheckpointBytes => ({ manifest: Buffer.from(manifest), added: new Map(), dropped: [] });
const newest = (stored: StoredCheckpoint | undefined): string => Buffer.from(stored?.manifests[0] ?? []).toString();

test("redis leaves out a save that an old connection brings after a newer one", async (t) => {
  const url = `${await redis()}/10`;
  const client = new Redis(url);
  t.after(() => client.disconnect());
  await client.flushdb();
  const { store } = await openStoreAt(t, { redis: { url } });
  const claim = await store.claim({ task: "t", partition: "p" }, signal);
  await claim.save(checkpoint("1"), signal);
  await claim.save(checkpoint("2"), signal);
  const [key = ""] = await client.keys("*");
  const owner = (await client.hget(key, "owner")) ?? "";
  assert.equal(await client.eval(SAVE, 2, key, `${key}:parts`, owner, 1, "1", 0, "late", "part"), "late");
  assert.equal(newest((await store.list("t", signal))[0]), "2");
  assert.equal(await store.part({ task: "t", partition: "p" }, "late", signal), undefined);
});

test("NATS KV takes a save again whose answer was lost, also when another claims later", async (t) => {
  const address = await nats();
  const bucket = `late-${process.pid}`;
  const client = await connect({ servers: address });
  const manager = await jetstreamManager(client);
  t.after(async () => {
    await manager.streams.delete(`KV_${bucket}`);
    await client.close();
  });
  const { store } = await openStoreAt(t, { natsKv: { bucket } }, { nats: address });
  const claim = await store.claim({ task: "t", partition: "p" }, signal);
  await claim.save(checkpoint("1"), signal);
  // What the claim does not know of: its own entry has another revision by now.
  const last = await manager.streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.manifest.t.p` });
  assert.ok(last !== null);
  await jetstream(client).publish(last.subject, last.data);
  await claim.save(checkpoint("2"), signal);
  assert.equal(newest((await store.list("t", signal))[0]), "2");
  // The entry of a former owner that comes late is refused by its revision.
  await store.claim({ task: "t", partition: "p" }, signal);
  await assert.rejects(claim.save(checkpoint("3"), signal), OwnershipLostError);
  assert.equal(newest((await store.list("t", signal))[0]), "2");
});
