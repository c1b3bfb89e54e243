/**
 * A worker that is frozen for longer than its session, and goes on when another has done its work: it commits nothing and saves
 * nothing, and the results are right. MILLRACE_TEST_PAIRS=all tries it with each store of checkpoints.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

import type { CheckpointStoreSettings } from "../../src/checkpoint-settings.ts";
import type { CheckpointStore, StoredCheckpoint } from "../../src/checkpoint-store.ts";
import { decodeManifest } from "../../src/pipeline/state/manifest.ts";
import { openStoreAt } from "../support/checkpoint-places.ts";
import { uniqueName } from "../support/jetstream.ts";
import { committedPositions } from "../support/kafka-records.ts";
import { deleteTopic, makeTopic } from "../support/kafka-topics.ts";
import { countByKcat, type KeyedText, writeByKcat } from "../support/kcat.ts";
import { Site } from "../support/operated.ts";
import { isStopped, signalAll } from "../support/processes.ts";
import { kafka, nats, redis } from "../support/services/index.ts";
import { until } from "../support/until.ts";
import { judgeWindows, keyedReading, tickAfter, windowCount, windowsInTopic } from "./readings.ts";

const PARTITIONS = 4;
/** How many readings there are in each of the parts of the test. */
const PART = 10_000;
const PATIENCE = 120_000;
const PRODUCT = fileURLToPath(new URL("../faults/products/fault-windows", import.meta.url));
const STORES = process.env["MILLRACE_TEST_PAIRS"] === "all" ? (["redis", "natsKv", "file"] as const) : (["redis"] as const);

for (const kind of STORES) {
  test(`with checkpoints in ${kind} a worker that was frozen for longer than its session writes over nothing`, async (t) => {
    const address = await kafka();
    const [input, output] = [await topic(t, address), await topic(t, address)];
    const place = await placeOf(kind);
    const site = new Site(t, {
      products: [PRODUCT],
      settings: {
        kafka: { brokers: address.split(",") },
        nats: { servers: [await nats()] },
        // The supervisor is to let it live.
        worker: { heartbeat: "10m" },
        checkpoint: { interval: "1s", store: place },
      },
      tasks: {
        zombie: {
          product: "fault-windows",
          instances: 2,
          config: { input: { kafka: { topic: input, sessionTimeout: "6s" } }, output: { kafka: { topic: output } } },
        },
      },
    });
    const { store } = await openStoreAt(t, "file" in place ? { file: { path: join(site.folder, "checkpoints") } } : place, {
      nats: await nats(),
    });
    const committed = async () => sumOf((await committedPositions(address, "millrace-zombie", input)).values());
    const isSaved = async (count: number) => sumOf((await savedPositions(store, input)).values()) === count;

    const running = site.start();
    await running.until(
      "both instances read",
      async () => {
        const instances = (await running.task("zombie"))?.instances ?? [];
        return instances.length === 2 && instances.every(({ state }) => state === "running");
      },
      PATIENCE,
    );
    await writeByKcat(address, input, readings(0, PART));
    await running.until("the first part is being done", async () => (await running.counted("in")) > PART / 10, PATIENCE, 20);
    const workers = await running.workers();
    assert.equal(workers.length, 2);
    const [zombie = 0] = workers;
    signalAll([zombie], "SIGSTOP");
    t.after(() => signalAll([zombie], "SIGCONT"));
    await until("it is frozen", () => isStopped(zombie));
    // What it has read by now and not written is more than nothing.
    await writeByKcat(address, input, readings(PART, 2 * PART));
    await running.until("another has done it all", async () => (await committed()) === 2 * PART, PATIENCE, 500);
    await running.until("all is saved", () => isSaved(2 * PART), PATIENCE, 500);
    const [positions, manifests] = [await committedPositions(address, "millrace-zombie", input), await savedPositions(store, input)];
    const claims = await claimsOf(store, input);

    signalAll([zombie], "SIGCONT");
    let looks = 0;
    const changes = new Set<string>();
    await running.until(
      "it has noticed, and is a member again",
      async () => {
        looks++;
        if (!isDeepStrictEqual(await committedPositions(address, "millrace-zombie", input), positions)) changes.add("it committed");
        if (!isDeepStrictEqual(await savedPositions(store, input), manifests)) changes.add("it saved");
        // The group was joined anew, so its partitions were shared out again.
        return (await claimsOf(store, input)) >= claims + PARTITIONS && (await running.task("zombie"))?.state === "running";
      },
      PATIENCE,
      50,
    );
    assert.deepEqual([...changes], []);
    assert.deepEqual(await running.workers(), workers, "no worker was replaced");

    await writeByKcat(address, input, readings(2 * PART, 3 * PART));
    for (let partition = 0; partition < PARTITIONS; partition++)
      await writeByKcat(address, input, [tickAfter(3 * PART)], ["-p", String(partition)]);
    await running.until("all is done", async () => (await committed()) === 3 * PART + PARTITIONS, PATIENCE, 500);
    const windows = windowCount(3 * PART);
    await running.until("all windows are there", async () => (await countByKcat(address, output, PARTITIONS)) >= windows);
    assert.equal((await running.stop()).code, 0, running.output);
    const { figures, examples } = judgeWindows(3 * PART, await windowsInTopic(address, output));
    t.diagnostic(`${JSON.stringify(figures)}, looked ${looks} times`);
    assert.deepEqual([figures.windowErrors, figures.windows], [0, windows], examples.join("\n"));
  });
}

async function topic(t: TestContext, address: string): Promise<string> {
  const name = await makeTopic(address, PARTITIONS);
  t.after(() => deleteTopic(address, name));
  return name;
}

async function placeOf(kind: (typeof STORES)[number]): Promise<CheckpointStoreSettings> {
  if (kind === "redis") return { redis: { url: await redis() } };
  return kind === "natsKv" ? { natsKv: { bucket: uniqueName("checkpoints") } } : { file: { path: "checkpoints" } };
}

function* readings(first: number, end: number): Generator<KeyedText> {
  for (let n = first; n < end; n++) yield keyedReading(n);
}

/** The saved positions of a topic's partitions, by their names. */
async function savedPositions(store: CheckpointStore, topicName: string): Promise<ReadonlyMap<string, number>> {
  const found = await checkpointsOf(store, topicName);
  return new Map(
    found.flatMap(({ name, manifests: [newest] }) =>
      newest === undefined ? [] : [[name.partition, decodeManifest(newest).position] as const],
    ),
  );
}

/** How often a topic's partitions were claimed. */
async function claimsOf(store: CheckpointStore, topicName: string): Promise<number> {
  return sumOf((await checkpointsOf(store, topicName)).map(({ epoch }) => epoch));
}

async function checkpointsOf(store: CheckpointStore, topicName: string): Promise<readonly StoredCheckpoint[]> {
  const found = await store.list("zombie", new AbortController().signal);
  return found.filter(({ name }) => name.partition.startsWith(`${topicName}/`));
}

function sumOf(numbers: Iterable<number>): number {
  return [...numbers].reduce((sum, number) => sum + Math.max(number, 0), 0);
}
