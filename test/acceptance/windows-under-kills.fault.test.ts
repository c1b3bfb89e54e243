/**
 * Windows whose workers are killed and whose supervisors come and go: the results are those that follow from the input alone, each
 * once when repeats are removed by their ids.
 *
 * MILLRACE_TEST_EVENTS sets how many events there are, MILLRACE_TEST_RATE how many a second. With MILLRACE_TEST_PAIRS=all each
 * broker is tried with each store of checkpoints.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import type { WindowFound } from "../faults/window-checker.ts";
import { makeStream, stored, uniqueName } from "../support/jetstream.ts";
import { committedPositions } from "../support/kafka-records.ts";
import { deleteTopic, makeTopic } from "../support/kafka-topics.ts";
import { countByKcat, type KeyedText, writeByKcat } from "../support/kcat.ts";
import { acknowledgedByNats, countByNats, writeByNats } from "../support/nats-client.ts";
import { randomOf } from "../support/nexmark.ts";
import { type Running, Site } from "../support/operated.ts";
import { signalAll } from "../support/processes.ts";
import { kafka, nats, redis } from "../support/services/index.ts";
import { eventCount } from "./bids.ts";
import { judgeWindows, keyedReading, tickAfter, windowCount, windowsInTopic, withId } from "./readings.ts";

const COUNT = eventCount(60_000);
const RATE = Number(process.env["MILLRACE_TEST_RATE"] ?? 2500);
const SEED = Number(process.env["MILLRACE_TEST_SEED"] ?? 1);
const PARTITIONS = 4;
/** Between two kills, in milliseconds. */
const [SHORTEST_PAUSE, LONGEST_PAUSE] = [2000, 5000];
/** After the last kill: for what was left to do then. Milliseconds. */
const PATIENCE = 120_000 + COUNT / 5;
const PRODUCT = fileURLToPath(new URL("../faults/products/fault-windows", import.meta.url));

type Store = "redis" | "natsKv" | "file";

/** Input and output at a broker. */
interface Ends {
  readonly config: object;
  readonly settings: object;
  write(records: AsyncIterable<KeyedText>): Promise<void>;
  /** Moves time on in all partitions, so that every window ends. */
  writeTick(): Promise<void>;
  /** Whether the broker says that all records of the input are done. */
  isDone(): Promise<boolean>;
  /** How many results there are. */
  count(): Promise<number>;
  read(): Promise<readonly (WindowFound | undefined)[]>;
}

const BROKERS: Readonly<Record<string, (t: TestContext) => Promise<Ends>>> = { Kafka: kafkaEnds, JetStream: natsEnds };
const ALL: readonly Store[] = ["redis", "natsKv", "file"];
const STORES: Readonly<Record<string, readonly Store[]>> =
  process.env["MILLRACE_TEST_PAIRS"] === "all" ? { Kafka: ALL, JetStream: ALL } : { Kafka: ["redis", "file"], JetStream: ["natsKv"] };

for (const [name, make] of Object.entries(BROKERS)) {
  for (const store of STORES[name] ?? []) {
    test(`${name} with checkpoints in ${store}: ${COUNT} events, workers killed (seed ${SEED})`, async (t) => {
      const ends = await make(t);
      const settings = {
        ...ends.settings,
        restart: { min: "200ms", max: "1s" },
        // It is not the task that makes workers die.
        quarantine: { after: 100, min: "1s", max: "2s" },
        checkpoint: { interval: "1s", store: await storeOf(store) },
      };
      const site = new Site(t, {
        products: [PRODUCT],
        settings,
        tasks: { windows: { product: "fault-windows", instances: 2, config: ends.config } },
      });
      const options = { patience: Math.round(PATIENCE + (COUNT / RATE) * 2000) };
      const begin = performance.now();
      const running = site.start(options);
      await running.until("the instances run", async () => (await running.task("windows"))?.state === "running");
      const load = new Load();
      const written = ends.write(load.records());
      const others = store === "file" ? [] : [1 / 3];
      const kills = await killWorkers(
        running,
        load,
        others.map((at) => ({ at, start: () => site.start(options) })),
      );
      await written;
      await ends.writeTick();
      const windows = windowCount(COUNT);
      await running.until("there are as many results as windows", async () => (await ends.count()) >= windows, PATIENCE, 500);
      await running.until("all is done", () => ends.isDone(), PATIENCE, 500);
      assert.equal((await running.stop()).code, 0, running.output);
      const { figures, examples } = judgeWindows(COUNT, await ends.read());
      const took = ((performance.now() - begin) / 1000).toFixed(0);
      t.diagnostic(JSON.stringify({ events: COUNT, ...kills, ...figures, seconds: Number(took) }));
      assert.deepEqual([figures.windowErrors, figures.windows], [0, windows], examples.join("\n"));
      // On JetStream nothing flows for a while after each: the next owner waits until the last one must be gone.
      assert.ok(kills.kills >= Math.floor(COUNT / RATE / 12), "workers were killed");
      assert.equal(kills.supervisors, 1 + others.length);
    });
  }
}

/** The readings, at a steady rate. */
class Load {
  made = 0;

  async *records(): AsyncGenerator<KeyedText> {
    const begin = performance.now();
    while (this.made < COUNT) {
      const due = Math.min(COUNT, Math.floor(((performance.now() - begin) / 1000) * RATE));
      while (this.made < due) yield keyedReading(this.made++);
      await delay(10);
    }
  }
}

/** A supervisor that joins at a part of the load, and leaves when twice that part is written. */
interface Other {
  readonly at: number;
  readonly start: () => Running;
}

/** Kills workers of all supervisors, one every few seconds, until the load has ended. */
async function killWorkers(
  first: Running,
  load: Load,
  others: readonly Other[],
): Promise<{ readonly kills: number; readonly supervisors: number }> {
  const random = randomOf(SEED);
  const waiting = [...others];
  let [kills, supervisors] = [0, 1];
  let second: { readonly running: Running; readonly until: number } | undefined;
  while (load.made < COUNT) {
    await delay(SHORTEST_PAUSE + random() * (LONGEST_PAUSE - SHORTEST_PAUSE));
    const [next] = waiting;
    if (next !== undefined && load.made >= next.at * COUNT) {
      waiting.shift();
      second = { running: next.start(), until: 2 * next.at * COUNT };
      supervisors++;
    }
    // One that leaves now is asked to end in order: killing a worker of it in the same moment would forbid that.
    const leaving = second !== undefined && load.made >= second.until ? second : undefined;
    const staying = second === undefined || second === leaving ? [first] : [first, second.running];
    const workers = (await Promise.all(staying.map(async (running) => await workersOf(running)))).flat();
    const victim = workers[Math.floor(random() * workers.length)];
    if (victim !== undefined) {
      signalAll([victim], "SIGKILL");
      kills++;
    }
    if (leaving !== undefined) {
      assert.equal((await leaving.running.stop()).code, 0, leaving.running.output);
      second = undefined;
    }
  }
  if (second !== undefined) assert.equal((await second.running.stop()).code, 0, second.running.output);
  return { kills, supervisors };
}

/** Asked again where the answer is lost, as that of a connection which just closed. */
async function workersOf(running: Running): Promise<readonly number[]> {
  return await running.until("it tells its workers", () => running.workers());
}

async function storeOf(store: Store): Promise<object> {
  if (store === "redis") return { redis: { url: await redis() } };
  return store === "natsKv" ? { natsKv: { bucket: uniqueName("checkpoints") } } : { file: { path: "checkpoints" } };
}

async function kafkaEnds(t: TestContext): Promise<Ends> {
  const address = await kafka();
  const [input, output] = [await makeTopic(address, PARTITIONS), await makeTopic(address, PARTITIONS)];
  t.after(async () => {
    await deleteTopic(address, input);
    await deleteTopic(address, output);
  });
  return {
    // The shortest that brokers allow: so long does a partition stand still whose worker was killed.
    config: { input: { kafka: { topic: input, sessionTimeout: "6s" } }, output: { kafka: { topic: output } } },
    settings: { kafka: { brokers: address.split(",") }, nats: { servers: [await nats()] } },
    write: (records) => writeByKcat(address, input, records),
    writeTick: async () => {
      for (let partition = 0; partition < PARTITIONS; partition++)
        await writeByKcat(address, input, [tickAfter(COUNT)], ["-p", String(partition)]);
    },
    isDone: async () => {
      const positions = await committedPositions(address, "millrace-windows", input);
      return [...positions.values()].reduce((sum, position) => sum + Math.max(position, 0), 0) === COUNT + PARTITIONS;
    },
    count: () => countByKcat(address, output, PARTITIONS),
    read: () => windowsInTopic(address, output),
  };
}

async function natsEnds(t: TestContext): Promise<Ends> {
  const address = await nats();
  // The stream would drop repeats: here they are to be seen.
  const [input, output] = [await makeStream(t, address), await makeStream(t, address, { duplicate_window: 100_000_000 })];
  const subject = `${input}.readings`;
  return {
    config: {
      input: { jetstream: { stream: input, create: true, takeover: "3s", retryAfter: "1s" } },
      output: { jetstream: { subject: `${output}.all` } },
    },
    settings: { nats: { servers: [address] } },
    write: (records) => writeByNats(address, input, onSubject(subject, records)),
    writeTick: () => writeByNats(address, input, [{ subject, ...tickAfter(COUNT) }]),
    isDone: async () => (await acknowledgedByNats(address, input, "millrace-windows")) === COUNT + 1,
    count: () => countByNats(address, output),
    read: async () => (await stored(t, address, output)).map(({ text, headers }) => withId(text, headers["Nats-Msg-Id"]?.[0])),
  };
}

async function* onSubject(subject: string, records: AsyncIterable<KeyedText>) {
  for await (const record of records) yield { subject, ...record };
}
