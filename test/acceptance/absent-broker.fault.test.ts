/** Brokers that are away when the daemon starts, or when it is to stop. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { natsClient, uniqueName } from "../support/jetstream.ts";
import { committedPositions } from "../support/kafka-records.ts";
import { KAFKA_CLIENTS, makeTopic } from "../support/kafka-topics.ts";
import { countByKcat, readByKcat, writeByKcat } from "../support/kcat.ts";
import { acknowledgedByNats, countByNats, readByNats, writeByNats } from "../support/nats-client.ts";
import { type Running, Site } from "../support/operated.ts";
import { type Service, startKafka, startNats } from "../support/services/index.ts";
import { keyedBids, relayedBids } from "./bids.ts";

const COUNT = 2000;
/** A stop with nothing in flight; the drain may take 20 s. Milliseconds. */
const QUICKLY = 8000;

/** Its sink has nothing to write, and knows all the same when its broker is back. */
const silence = { generator: { rate: 0 } };

/** A broker of the test's own, and a task that relays through it. */
interface Rig {
  readonly broker: Service;
  readonly site: Site;
  /** What of the address is in every reason. */
  readonly port: string;
  readonly written: () => Promise<number>;
  /** How many events of the input are behind the committed position. */
  readonly committed: () => Promise<number>;
  readonly read: (take: (key: string, text: string) => void) => Promise<void>;
}

type Make = (t: TestContext) => Promise<Rig>;

async function kafkaRig(t: TestContext, client: (typeof KAFKA_CLIENTS)[number]): Promise<Rig> {
  const broker = await startKafka();
  t.after(() => broker[Symbol.asyncDispose]());
  const { address } = broker;
  const [input, output] = [await makeTopic(address, 4), await makeTopic(address, 4)];
  await writeByKcat(address, input, keyedBids(0, COUNT));
  const site = new Site(t, {
    settings: { kafka: { brokers: [address], client } },
    tasks: {
      relay: { product: "relay", instances: 2, config: { input: { kafka: { topic: input } }, output: { kafka: { topic: output } } } },
      silent: { product: "relay", config: { input: silence, output: { kafka: { topic: output } } } },
    },
  });
  return {
    broker,
    site,
    port: address.split(":").at(-1) ?? "",
    written: () => countByKcat(address, output, 4),
    committed: async () => {
      const positions = await committedPositions(address, "millrace-relay", input);
      return [...positions.values()].reduce((sum, position) => sum + Math.max(position, 0), 0);
    },
    read: (take) => readByKcat(address, output, (_partition, key, text) => take(key, text)),
  };
}

async function natsRig(t: TestContext): Promise<Rig> {
  const broker = await startNats();
  t.after(() => broker[Symbol.asyncDispose]());
  const { address } = broker;
  const { client, manager } = await natsClient(t, address);
  const [input, output] = [uniqueName("in"), uniqueName("out")];
  for (const name of [input, output]) await manager.streams.add({ name, subjects: [`${name}.>`] });
  await client.close();
  await writeByNats(
    address,
    input,
    [...keyedBids(0, COUNT)].map((event) => ({ ...event, subject: `${input}.bids` })),
  );
  const config = { input: { jetstream: { stream: input, create: true } }, output: { jetstream: { subject: `${output}.all` } } };
  const site = new Site(t, {
    settings: { nats: { servers: [address] } },
    tasks: { relay: { product: "relay", config }, silent: { product: "relay", config: { ...config, input: silence } } },
  });
  return {
    broker,
    site,
    port: address.split(":").at(-1) ?? "",
    written: () => countByNats(address, output),
    committed: () => acknowledgedByNats(address, input, "millrace-relay"),
    read: (take) => readByNats(address, output, (_subject, key, text) => take(key, text)),
  };
}

const BROKERS: Readonly<Record<string, Make>> = {
  ...Object.fromEntries(KAFKA_CLIENTS.map((client): [string, Make] => [`Kafka by ${client}`, (t) => kafkaRig(t, client)])),
  JetStream: natsRig,
};

for (const [name, make] of Object.entries(BROKERS)) {
  test(`${name}: what starts before its broker waits, then all flows; a stop without the broker is quick`, async (t) => {
    const { broker, site, port, written, committed, read } = await make(t);
    await broker.stop();
    const running = site.start();
    const reason = await saysWhy(running, port);
    t.diagnostic(`while it is away: ${reason}`);
    const before = await running.workers();
    await broker.restart();
    await running.until("every event is counted", async () => (await running.counted("out")) >= COUNT);
    assert.deepEqual(await running.workers(), before, "workers stay alive");
    await running.until("no instance waits any more", async () => (await running.tasks()).every(({ state }) => state === "running"));
    assert.equal(await written(), COUNT);
    const found = relayedBids(COUNT);
    await read((key, text) => found.take(key, text));
    assert.deepEqual(found.figures(), { expected: COUNT, missing: 0, repeats: 0, orderBreaks: 0 });

    await running.until("nothing is in flight and all is committed", async () => (await committed()) === COUNT);
    await broker.kill();
    await saysWhy(running, port);
    await stopsQuickly(t, running, "after the broker went away");
  });

  test(`${name}: a stop is quick where the broker never was`, async (t) => {
    const { broker, site, port } = await make(t);
    await broker.stop();
    const running = site.start();
    await saysWhy(running, port);
    await stopsQuickly(t, running, "without having seen a broker");
  });

  test(`${name}: a stop is quick where the broker takes connections but answers nothing`, async (t) => {
    const { broker, site, committed } = await make(t);
    const running = site.start();
    await running.until("every event is counted", async () => (await running.counted("out")) >= COUNT);
    await running.until("nothing is in flight and all is committed", async () => (await committed()) === COUNT);
    await broker.freeze();
    await stopsQuickly(t, running, "beside a frozen broker");
  });
}

/** Waits until the task says that its broker is away. */
async function saysWhy(running: Running, port: string): Promise<string> {
  return await running.until("the task says why it does not run", async () => {
    const task = await running.task("relay");
    return task?.state !== "running" && task?.reason?.includes(port) === true && task.reason;
  });
}

async function stopsQuickly(t: TestContext, running: Running, when: string): Promise<void> {
  const { code, took } = await running.stop();
  t.diagnostic(`${when} it stopped in ${Math.round(took)} ms`);
  assert.equal(code, 0, running.output);
  assert.ok(took < QUICKLY, `${when} the stop took ${took} ms: ${running.output}`);
}
