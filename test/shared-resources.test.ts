import assert from "node:assert/strict";
import { test } from "node:test";

import { openSharedResources } from "../src/shared-resources.ts";

class Connection implements AsyncDisposable {
  closed = 0;
  readonly #closing: Promise<void>;

  constructor(closing: Promise<void> = Promise.resolve()) {
    this.#closing = closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closing;
    this.closed++;
  }
}

test("all who ask for a key get one resource, closed with the last lease", async () => {
  const shared = openSharedResources();
  let created = 0;
  const create = async () => {
    created++;
    return new Connection();
  };
  const [first, second] = await Promise.all([shared.lease("nats", create), shared.lease("nats", create)]);
  assert.equal(first.resource, second.resource);
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  assert.equal(second.resource.closed, 0);
  await second[Symbol.asyncDispose]();
  assert.equal(second.resource.closed, 1);
  const third = await shared.lease("nats", create);
  assert.notEqual(third.resource, first.resource);
  assert.equal(created, 2);
});

test("each key has a resource of its own", async () => {
  const shared = openSharedResources();
  const a = await shared.lease("a", async () => new Connection());
  const b = await shared.lease("b", async () => new Connection());
  assert.notEqual(a.resource, b.resource);
});

test("when creating fails, all who wait fail and the next one tries again", async () => {
  const shared = openSharedResources();
  let attempts = 0;
  const create = async () => {
    if (++attempts === 1) throw new Error("away");
    return new Connection();
  };
  const results = await Promise.allSettled([shared.lease("k", create), shared.lease("k", create)]);
  assert.deepEqual(
    results.map((result) => result.status),
    ["rejected", "rejected"],
  );
  assert.ok((await shared.lease("k", create)).resource);
  assert.equal(attempts, 2);
});

test("who comes while a resource is being closed gets a new one, after that", async () => {
  const shared = openSharedResources();
  const { promise, resolve } = Promise.withResolvers<void>();
  const old = new Connection(promise);
  const lease = await shared.lease("k", async () => old);
  const closing = lease[Symbol.asyncDispose]();
  let closedBefore = -1;
  const next = shared.lease("k", async () => {
    closedBefore = old.closed;
    return new Connection();
  });
  resolve();
  await closing;
  assert.notEqual((await next).resource, old);
  assert.equal(closedBefore, 1);
});

test("a resource that can't be closed does not block its key", async () => {
  const shared = openSharedResources();
  const lease = await shared.lease("k", async () => new Connection(Promise.reject(new Error("stuck"))));
  await assert.rejects(async () => await lease[Symbol.asyncDispose](), /stuck/);
  assert.equal((await shared.lease("k", async () => new Connection())).resource.closed, 0);
});
