/** Workers that are killed under load, and planned stops under load. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { makeStream } from "../support/jetstream.ts";
import { deleteTopic, KAFKA_CLIENTS, makeTopic } from "../support/kafka-topics.ts";
import { countByKcat, readByKcat, writeByKcat } from "../support/kcat.ts";
import { countByNats, readByNats, writeByNats } from "../support/nats-client.ts";
import { randomOf } from "../support/nexmark.ts";
import { type Running, Site } from "../support/operated.ts";
import { signalAll } from "../support/processes.ts";
import { kafka, nats } from "../support/services/index.ts";
import type { keyedBids } from "./bids.ts";
import { relayedBids } from "./bids.ts";
import { Load } from "./load.ts";

const KILLS = Number(process.env["MILLRACE_TEST_KILLS"] ?? 6);
const SEED = Number(process.env["MILLRACE_TEST_SEED"] ?? 1);
const STOPS = 2;
const PARTITIONS = 4;
/** Events per second while workers are killed. */
const RATE = 4000;
/** The longest wait between two kills beyond that for progress. Milliseconds. */
const LONGEST_PAUSE = 1500;

/** A broker with an input and an output of the test's own, and what relays from one to the other. */
interface Rig {
  readonly site: Site;
  write(events: AsyncIterable<KeyedBid> | Iterable<KeyedBid>): Promise<void>;
  readonly written: () => Promise<number>;
  readonly read: (take: (key: string, text: string) => void) => Promise<void>;
  /** Whether events of one key keep their order. */
  readonly ordered: boolean;
}

type KeyedBid = ReturnType<typeof keyedBids> extends Generator<infer Event> ? Event : never;

/** What died is to be back soon. */
const restart = { min: "200ms", max: "1s" };

async function kafkaRig(t: TestContext, client: (typeof KAFKA_CLIENTS)[number]): Promise<Rig> {
  const address = await kafka();
  const [input, output] = [await makeTopic(address, PARTITIONS), await makeTopic(address, PARTITIONS)];
  t.after(async () => {
    await deleteTopic(address, input);
    await deleteTopic(address, output);
  });
  // The shortest that brokers allow: so long does a partition stand still whose worker was killed.
  const config = { input: { kafka: { topic: input, sessionTimeout: "6s" } }, output: { kafka: { topic: output } } };
  return {
    site: new Site(t, {
      settings: { kafka: { brokers: address.split(","), client }, restart },
      tasks: { relay: { product: "relay", instances: 2, config } },
    }),
    write: (events) => writeByKcat(address, input, events),
    written: () => countByKcat(address, output, PARTITIONS),
    read: (take) => readByKcat(address, output, (_partition, key, text) => take(key, text)),
    ordered: true,
  };
}

async function natsRig(t: TestContext, ackWait: string): Promise<Rig> {
  const address = await nats();
  // The stream would drop repeats: here they are to be seen.
  const [input, output] = [await makeStream(t, address), await makeStream(t, address, { duplicate_window: 100_000_000 })];
  const config = {
    input: { jetstream: { stream: input, create: true, ackWait } },
    output: { jetstream: { subject: `${output}.all` } },
  };
  const withSubject = async function* (events: AsyncIterable<KeyedBid> | Iterable<KeyedBid>) {
    for await (const event of events) yield { ...event, subject: `${input}.bids` };
  };
  return {
    site: new Site(t, {
      settings: { nats: { servers: [address] }, restart },
      tasks: { relay: { product: "relay", instances: 2, config } },
    }),
    write: (events) => writeByNats(address, input, withSubject(events)),
    written: () => countByNats(address, output),
    read: (take) => readByNats(address, output, (_subject, key, text) => take(key, text)),
    ordered: false,
  };
}

/** @param patience how long messages may be worked on without a word before the server delivers them again */
type MakeRig = (t: TestContext, patience: string) => Promise<Rig>;

const BROKERS: Readonly<Record<string, MakeRig>> = {
  ...Object.fromEntries(KAFKA_CLIENTS.map((client) => [`Kafka by ${client}`, (t: TestContext) => kafkaRig(t, client)])),
  JetStream: natsRig,
};

for (const [name, make] of Object.entries(BROKERS)) {
  test(`${name}: nothing is lost when workers are killed ${KILLS} times under load (seed ${SEED})`, async (t) => {
    const rig = await make(t, "3s");
    const running = rig.site.start();
    const load = new Load(t, RATE, (events) => rig.write(events));
    await killWorkers(running, rig, randomOf(SEED));
    const count = await load.end();
    const found = relayedBids(count);
    await running.until("every event is written", async () => (await rig.written()) >= count, 120_000);
    await running.until("no event is missing", async () => await isComplete(rig, count), 60_000, 2000);
    assert.equal((await running.stop()).code, 0, running.output);
    await rig.read((key, text) => found.take(rig.ordered ? key : text, text));
    const { missing, repeats, orderBreaks } = found.figures();
    t.diagnostic(`${count} events, ${repeats} repeats after ${KILLS} kills, order breaks ${orderBreaks}`);
    assert.equal(missing, 0);
    assert.equal(orderBreaks, 0, "first deliveries keep the order of their key");
  });

  test(`${name}: nothing is lost and nothing comes twice over ${STOPS} planned stops under load`, async (t) => {
    const rig = await make(t, "30s");
    const load = new Load(t, RATE, (events) => rig.write(events));
    for (let stop = 0; stop < STOPS; stop++) {
      const running = rig.site.start();
      const before = await rig.written();
      await running.until("events are written", async () => (await rig.written()) > before + RATE / 2);
      const { code, took } = await running.stop();
      assert.equal(code, 0, running.output);
      t.diagnostic(`stop ${stop + 1} took ${Math.round(took)} ms`);
    }
    const count = await load.end();
    const running = rig.site.start();
    await running.until("every event is written", async () => (await rig.written()) >= count, 120_000);
    assert.equal((await running.stop()).code, 0, running.output);
    const found = relayedBids(count);
    await rig.read((key, text) => found.take(rig.ordered ? key : text, text));
    t.diagnostic(`${count} events`);
    assert.deepEqual(found.figures(), { expected: count, missing: 0, repeats: 0, orderBreaks: 0 });
  });
}

/** Kills workers one after the other, each while events flow. */
async function killWorkers(running: Running, rig: Rig, random: () => number): Promise<void> {
  for (let kill = 0; kill < KILLS; kill++) {
    const before = await rig.written();
    await running.until("events are written", async () => (await rig.written()) > before + RATE / 10);
    await delay(random() * LONGEST_PAUSE);
    const workers = await running.until("there is a worker", async () => {
      const pids = await running.workers();
      return pids.length > 0 && pids;
    });
    signalAll([workers[Math.floor(random() * workers.length)] as number], "SIGKILL");
  }
}

async function isComplete(rig: Rig, count: number): Promise<boolean> {
  const found = relayedBids(count);
  await rig.read((key, text) => found.take(key, text));
  return found.figures().missing === 0;
}
