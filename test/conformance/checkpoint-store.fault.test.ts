/** What the checkpoint stores promise while the server behind is killed, frozen, full or set up wrongly. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";

import { Redis } from "ioredis";

import type { CheckpointStoreSettings } from "../../src/checkpoint-settings.ts";
import type { CheckpointBytes, CheckpointClaim, CheckpointStore } from "../../src/checkpoint-store.ts";
import { ConfigError, InfrastructureError, OwnershipLostError } from "../../src/errors.ts";
import { openStoreAt } from "../support/checkpoint-places.ts";
import type { Service } from "../support/services/index.ts";
import { startNats, startRedis } from "../support/services/index.ts";
import { until } from "../support/until.ts";

const signal = new AbortController().signal;
const name = { task: "t", partition: "p/0" };
const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const newest = ({ manifests: [first] }: Pick<CheckpointClaim, "manifests">): string | undefined => textOf(first);

function checkpoint(number: number, size = 10): CheckpointBytes {
  const added = new Map([[`n-${number}`, Buffer.alloc(size, String(number))]]);
  return { manifest: Buffer.from(String(number)), added, dropped: number === 1 ? [] : [`n-${number - 1}`] };
}

interface Place {
  readonly name: string;
  start(): Promise<Service>;
  settings(service: Service): CheckpointStoreSettings;
}

const PLACES: readonly Place[] = [
  { name: "redis", start: startRedis, settings: ({ address }) => ({ redis: { url: address } }) },
  { name: "NATS KV", start: () => startNats(), settings: () => ({ natsKv: { bucket: "state" } }) },
];

/** How long a call may take while its server is away, in milliseconds. */
const SOON = 12_000;

async function refusedSoon(call: Promise<unknown>): Promise<Error> {
  const begin = performance.now();
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const took = performance.now() - begin;
  assert.ok(error instanceof InfrastructureError, String(error));
  assert.ok(!(error instanceof OwnershipLostError), "nobody else has claimed it");
  assert.ok(took < SOON, `it took ${took} ms`);
  return error;
}

async function allRefusedSoon(store: CheckpointStore, claim: CheckpointClaim, next: CheckpointBytes): Promise<void> {
  await refusedSoon(claim.save(next, signal));
  await refusedSoon(claim.sweep(new Set(["n-1"]), signal));
  await refusedSoon(store.list(undefined, signal));
  await refusedSoon(store.part(name, "n-1", signal));
  await refusedSoon(store.claim({ ...name, partition: "other" }, signal));
}

/** Repeats what is refused while the server comes back. */
async function whenBack<R>(call: () => Promise<R>): Promise<R> {
  let result: { readonly value: R } | undefined;
  await until("the store is back", async () => {
    result = { value: await call() };
    return true;
  });
  return (result as { readonly value: R }).value;
}

async function open(t: TestContext, place: Place, service: Service): Promise<CheckpointStore> {
  return (await openStoreAt(t, place.settings(service), { nats: service.address })).store;
}

for (const place of PLACES) {
  void describe(`checkpoint store: ${place.name}`, () => {
    it("refuses soon while its server is killed, and goes on when it is back", async (t) => {
      await using service = await place.start();
      const store = await open(t, place, service);
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint(1), signal);
      await service.kill();
      await allRefusedSoon(store, claim, checkpoint(2));
      await service.restart();
      await whenBack(() => claim.save(checkpoint(2), signal));
      const next = await store.claim(name, signal);
      assert.deepEqual([next.epoch, newest(next)], [2, "2"]);
      assert.equal(textOf(await store.part(name, "n-2", signal)), "2222222222");
      await assert.rejects(claim.save(checkpoint(3), signal), OwnershipLostError);
    });

    it("refuses soon when its server was never there", async (t) => {
      await using service = await place.start();
      await service.kill();
      const store = await open(t, place, service);
      await refusedSoon(store.claim(name, signal));
      await service.restart();
      assert.equal((await whenBack(() => store.claim(name, signal))).manifests.length, 0);
    });

    it("refuses within its patience while its server is frozen, and takes nothing twice or late", async (t) => {
      await using service = await place.start();
      const store = await open(t, place, service);
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint(1), signal);
      await service.freeze();
      await refusedSoon(claim.save(checkpoint(2), signal));
      await service.thaw();
      // What was sent into the frozen server may come through now, before or after this one.
      await whenBack(() => claim.save({ ...checkpoint(3), dropped: ["n-1"] }, signal));
      assert.equal(newest(await whenBack(() => store.claim(name, signal))), "3");
    });

    it("takes a save that is repeated because its answer was lost", async (t) => {
      await using service = await place.start();
      const store = await open(t, place, service);
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint(1), signal);
      let saved = 1;
      for (let round = 0; round < 3; round++) {
        const kill = until("some are saved", () => saved % 10 === 5, { every: 1 }).then(() => service.kill());
        const saving = (async () => {
          for (;;) {
            await claim.save(checkpoint(saved + 1), signal);
            saved++;
          }
        })();
        await assert.rejects(saving, InfrastructureError);
        await kill;
        await service.restart();
        await whenBack(() => claim.save(checkpoint(saved + 1), signal));
        saved++;
        while (saved % 10 !== 0) await claim.save(checkpoint(++saved), signal);
      }
      const [stored] = await store.list(name.task, signal);
      assert.equal(stored && newest(stored), String(saved));
      await claim.finish(signal);
      assert.deepEqual(await store.list(undefined, signal), []);
    });

    it("stops waiting for a frozen server when its signal aborts", async (t) => {
      await using service = await place.start();
      const store = await open(t, place, service);
      const claim = await store.claim(name, signal);
      await service.freeze();
      const abort = new AbortController();
      const saving = claim.save(checkpoint(1), abort.signal);
      const reason = new Error("given up");
      setImmediate(() => abort.abort(reason));
      const begin = performance.now();
      await assert.rejects(saving, (error) => error === reason);
      assert.ok(performance.now() - begin < 2000);
      await service.thaw();
    });
  });
}

async function withRedis<R>(service: Service, work: (client: Redis) => Promise<R>): Promise<R> {
  const client = new Redis(service.address);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

const [REDIS] = PLACES as [Place];

void describe("checkpoint store: redis, set up wrongly", () => {
  it("calls a full memory an infrastructure error, and goes on when there is room", async (t) => {
    await using service = await startRedis();
    const store = await open(t, REDIS, service);
    const claim = await store.claim(name, signal);
    await claim.save(checkpoint(1, 100_000), signal);
    await withRedis(service, (client) => client.config("SET", "maxmemory", "1mb"));
    const error = await refusedSoon(claim.save(checkpoint(2, 500_000), signal));
    assert.match(error.message, /its memory is full: raise maxmemory, or free some \(.*OOM/);
    await refusedSoon(store.claim({ ...name, partition: "other" }, signal));
    assert.equal((await store.part(name, "n-1", signal))?.length, 100_000, "what is there stays");
    await claim.sweep(new Set(["n-1"]), signal);
    await withRedis(service, (client) => client.config("SET", "maxmemory", "0"));
    await claim.save(checkpoint(2, 500_000), signal);
    assert.equal(newest(await store.claim(name, signal)), "2");
  });

  it("refuses a Redis that throws data away, and says what to set", async (t) => {
    await using service = await startRedis();
    await withRedis(service, (client) => client.config("SET", "maxmemory-policy", "allkeys-lru"));
    const store = await open(t, REDIS, service);
    await assert.rejects(store.claim(name, signal), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /maxmemory-policy is allkeys-lru, .*: set maxmemory-policy to noeviction/);
      return true;
    });
    await withRedis(service, (client) => client.config("SET", "maxmemory-policy", "noeviction"));
    await store.claim(name, signal);
  });

  it("warns once when it may not ask for the policy", async (t) => {
    await using service = await startRedis();
    await withRedis(service, (client) => client.call("ACL", "SETUSER", "default", "-info", "-config"));
    const { store, context } = await openStoreAt(t, REDIS.settings(service));
    for (const partition of ["a", "b"]) await (await store.claim({ ...name, partition }, signal)).save(checkpoint(1), signal);
    const warnings = context.lines.filter((line) => line.includes("must be noeviction"));
    assert.equal(warnings.length, 1, context.lines.join("\n"));
  });

  it("calls a replica that takes no writes an infrastructure error", async (t) => {
    await using primary = await startRedis();
    await using service = await startRedis();
    const { hostname, port } = new URL(primary.address);
    await withRedis(service, (client) => client.replicaof(hostname, port));
    const store = await open(t, REDIS, service);
    const error = await refusedSoon(store.claim(name, signal));
    assert.match(error.message, /it is a replica and takes no writes: name the primary/);
  });

  it("keeps the password out of errors", async (t) => {
    await using service = await startRedis();
    await withRedis(service, (client) => client.config("SET", "requirepass", "another"));
    const url = service.address.replace("redis://", "redis://:hunter2@");
    const { store } = await openStoreAt(t, { redis: { url } });
    assert.doesNotMatch((await refusedSoon(store.claim(name, signal))).message, /hunter2/);
  });
});

void describe("checkpoint store: NATS KV, set up wrongly", () => {
  it("says what to set when messages may not be large enough", async (t) => {
    await using service = await startNats({ config: "max_payload: 65536" });
    const { store } = await openStoreAt(t, { natsKv: { bucket: "state" } }, { nats: service.address });
    await assert.rejects(store.claim(name, signal), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /takes messages of 65536 bytes, .*: set its max_payload to 786432 or more/);
      return true;
    });
  });
});
