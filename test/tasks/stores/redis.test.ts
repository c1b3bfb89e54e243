import assert from "node:assert/strict";
import { test } from "node:test";

import { RedisStore } from "../../../src/tasks/stores/redis.ts";
import { taskStoreSuite } from "../../conformance/task-store.ts";
import { openGate } from "../../support/gate.ts";
import { ownHash } from "../../support/own-hash.ts";

taskStoreSuite("redis", async (t) => {
  const { client, key, url, put, remove } = await ownHash(t);
  const { hostname, port } = new URL(url);
  const gate = await openGate(t, hostname, Number(port));
  return {
    store: new RedisStore({ url: `redis://127.0.0.1:${gate.port}`, key, every: 50 }),
    put: (id, task) => put(id, { id, ...task }),
    remove,
    putBroken: async (id) => void (await client.hset(key, id, "{ id: b")),
    away: () => gate.shut(),
    back: () => gate.open(),
  };
});

test("the field is the id when the value has none; another id in it, and no object, are faults", async (t) => {
  const { client, key, url } = await ownHash(t);
  await client.hset(key, { a: '{"product":"p"}', b: '{"id":"c","product":"p"}', d: "[]" });
  const { tasks } = await new RedisStore({ url, key, every: 50 }).read(t.signal);
  assert.deepEqual(tasks[0]?.value, { product: "p", id: "a" });
  assert.match(tasks[1]?.faults[0] ?? "", /id is "c" but the field is "b"/);
  assert.match(tasks[2]?.faults[0] ?? "", /must be a task/);
});

test("references are refused: whoever may write a row must not read this machine's secrets", async (t) => {
  const { client, key, url } = await ownHash(t);
  await client.hset(key, "a", '{"product":"p","config":{"list":["${env:HOME}"]}}');
  const { tasks } = await new RedisStore({ url, key, every: 50 }).read(t.signal);
  assert.match(tasks[0]?.faults[0] ?? "", /\$\{env:…\} .* settings and task files only/);
});

test("another kind of key is an error that names the store without its password", async (t) => {
  const { client, key, url } = await ownHash(t);
  await client.set(key, "text");
  await assert.rejects(new RedisStore({ url, key, every: 50 }).read(t.signal), /^InfrastructureError: Redis: WRONGTYPE/);
  assert.equal(new RedisStore({ url: "redis://me:pw@host:1", key: "k", every: 1 }).name, "redis k at redis://me:[secret]@host:1");
});
