/** Kafka to Kafka in transactions, with workers that are killed, owners that come back as zombies, and a broker that crashes. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { makeTopic } from "../support/kafka-topics.ts";
import { countByKcat, readByKcat, writeByKcat } from "../support/kcat.ts";
import { randomOf } from "../support/nexmark.ts";
import { type Running, Site } from "../support/operated.ts";
import { descendants, signalAll } from "../support/processes.ts";
import { kafka, startKafka } from "../support/services/index.ts";
import { keyedBids, relayedBids } from "./bids.ts";
import { Load } from "./load.ts";

const KILLS = Number(process.env["MILLRACE_TEST_KILLS"] ?? 6);
const SEED = Number(process.env["MILLRACE_TEST_SEED"] ?? 1);
const PARTITIONS = 4;
const CRASHES = 2;
/** Events that wait when the broker crashes. */
const BACKLOG = 100_000;
/** Events per second. */
const RATE = 4000;
const COMMITTED = ["-X", "isolation.level=read_committed"];

test(`every event is seen exactly once though workers are killed ${KILLS} times (seed ${SEED})`, async (t) => {
  const stream = await openStream(await kafka());
  const running = stream.site(t).start();
  const load = new Load(t, RATE, (events) => writeByKcat(stream.address, stream.input, events));
  const random = randomOf(SEED);
  for (let kill = 0; kill < KILLS; kill++) {
    await progress(running, stream);
    await delay(random() * 1500);
    const workers = await running.until("there is a worker", async () => {
      const pids = await running.workers();
      return pids.length > 0 && pids;
    });
    signalAll([workers[Math.floor(random() * workers.length)] as number], "SIGKILL");
  }
  await finish(t, running, stream, await load.end());
});

test("an owner that was stopped for longer than its session, and comes back, makes nothing visible", async (t) => {
  const stream = await openStream(await kafka());
  const zombie = stream.site(t).start();
  const load = new Load(t, RATE, (events) => writeByKcat(stream.address, stream.input, events));
  await progress(zombie, stream);
  const stopped = [...descendants(zombie.pid), zombie.pid];
  signalAll(stopped, "SIGSTOP");
  // The same task under another supervisor: the group gives it what the first had, when its sessions are over.
  const successor = stream.site(t).start();
  await progress(successor, stream);
  signalAll(stopped, "SIGCONT");
  await progress(successor, stream);
  const count = await load.end();
  await isComplete(zombie, stream, count);
  assert.equal((await zombie.stop()).code, 0, zombie.output);
  await finish(t, successor, stream, count);
});

test(`every event is seen exactly once though the broker with all coordinators crashes ${CRASHES} times`, async (t) => {
  await using service = await startKafka();
  const stream = await openStream(service.address);
  const running = stream.site(t).start();
  for (let crash = 0; crash < CRASHES; crash++) {
    // All before the crash: kcat gives up when its only broker is away.
    await writeByKcat(stream.address, stream.input, keyedBids(crash * BACKLOG, (crash + 1) * BACKLOG));
    await progress(running, stream);
    const pids = await running.workers();
    await service.kill();
    await delay(2000);
    await service.restart();
    await progress(running, stream);
    assert.deepEqual(await running.workers(), pids, "no worker ends for it");
  }
  await finish(t, running, stream, CRASHES * BACKLOG);
});

interface Stream {
  readonly address: string;
  readonly input: string;
  readonly output: string;
  site(t: TestContext): Site;
}

/** An input and an output, and a relay between them. */
async function openStream(address: string): Promise<Stream> {
  const [input, output] = [await makeTopic(address, PARTITIONS), await makeTopic(address, PARTITIONS)];
  const config = {
    input: { kafka: { topic: input, sessionTimeout: "6s" } },
    output: { kafka: { topic: output, delivery: "exactly-once" } },
  };
  const settings = { kafka: { brokers: address.split(",") }, restart: { min: "200ms", max: "1s" } };
  const tasks = { [`relay-${input}`]: { product: "relay", instances: 2, config } };
  return { address, input, output, site: (t) => new Site(t, { settings, tasks }) };
}

/** Waits until something more was written. A broker that has just come up leads no partition for a moment. */
async function progress(running: Running, { address, output }: Stream): Promise<void> {
  const count = async () => await countByKcat(address, output, PARTITIONS).catch(() => undefined);
  let before: number | undefined;
  await running.until("events are written", async () => {
    const now = await count();
    before ??= now;
    return now !== undefined && before !== undefined && now > before + RATE / 10;
  });
}

async function isComplete(running: Running, stream: Stream, count: number): Promise<void> {
  await running.until("no event is missing", async () => (await figures(stream, count)).missing === 0, 120_000, 2000);
}

async function figures({ address, output }: Stream, count: number) {
  const found = relayedBids(count);
  await readByKcat(address, output, (_partition, key, text) => found.take(key, text), COMMITTED);
  return found.figures();
}

async function finish(t: TestContext, running: Running, stream: Stream, count: number): Promise<void> {
  await isComplete(running, stream, count);
  assert.equal((await running.stop()).code, 0, running.output);
  const written = relayedBids(count);
  await readByKcat(stream.address, stream.output, (_partition, key, text) => written.take(key, text), [
    "-X",
    "isolation.level=read_uncommitted",
  ]);
  t.diagnostic(`${count} events; ${written.figures().repeats} more in the log, in transactions that were given up`);
  assert.deepEqual(await figures(stream, count), { expected: count, missing: 0, repeats: 0, orderBreaks: 0 });
}
