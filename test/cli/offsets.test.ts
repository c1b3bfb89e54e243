import assert from "node:assert/strict";
import { test } from "node:test";

import { makeStream, natsClient, store } from "../support/jetstream.ts";
import { produce } from "../support/kafka-records.ts";
import { KAFKA_CLIENTS, makeTopic, uniqueName } from "../support/kafka-topics.ts";
import { millraceHere } from "../support/millrace.ts";
import { Site, type SiteOptions } from "../support/operated.ts";
import { kafka, nats } from "../support/services/index.ts";
import { DOUBLER } from "./fixtures.ts";
import { TALLY } from "./tally.ts";

interface Shown {
  readonly partition: string;
  readonly checkpoint?: number;
  readonly committed?: number;
  readonly first: number;
  readonly end: number;
  readonly lag?: number;
}

const addresses = { kafka: await kafka(), nats: await nats() };
const output = { file: { path: "out.ndjson" } };
const reading = (index: number) => JSON.stringify({ key: "k", device: "k", value: 1, at: index * 1000 });

function siteOf(t: ConstructorParameters<typeof Site>[0], client: string, tasks: SiteOptions["tasks"]): Site {
  const settings = {
    workers: 1,
    restart: { min: "50ms" },
    kafka: { brokers: [addresses.kafka], client },
    nats: { servers: [addresses.nats] },
    checkpoint: { interval: "100ms" },
  };
  const site = new Site(t, { settings, tasks: tasks ?? {}, products: [] });
  site.write("products/tally/index.ts", TALLY);
  site.write("products/doubler/index.ts", DOUBLER);
  return site;
}

function command(site: Site, args: readonly string[]) {
  return millraceHere(["offsets", ...args, "--config", "settings.yaml"], { cwd: site.folder });
}

async function shown(site: Site, task: string): Promise<readonly Shown[]> {
  const { code, stdout, stderr } = await command(site, ["show", "--task", task, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Shown[];
}

async function setTo(site: Site, task: string, to: string, ...more: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await command(site, ["set", "--task", task, "--to", to, ...more]);
  assert.equal(code, 0, stderr);
  return stdout;
}

for (const client of KAFKA_CLIENTS) {
  test(`offsets of a Kafka group are shown, and set while nobody is in the group, through ${client}`, async (t) => {
    const topic = await makeTopic(addresses.kafka, 2);
    const records = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        key: "k",
        value: reading(index),
        timestamp: String(1_700_000_000_000 + index * 1000),
      }));
    await produce(addresses.kafka, topic, 0, records(20));
    await produce(addresses.kafka, topic, 1, records(5));
    const input = { kafka: { topic, group: uniqueName("group") } };
    const site = siteOf(t, client, { plain: { product: "doubler", config: { input, output } } });
    const [zero, one] = [`${topic}/0`, `${topic}/1`];
    assert.deepEqual(await shown(site, "plain"), [
      { partition: zero, first: 0, end: 20 },
      { partition: one, first: 0, end: 5 },
    ]);
    await setTo(site, "plain", "latest");
    assert.equal(await setTo(site, "plain", "12", "--partition", zero), `plain ${zero}: goes on at position 12\n`);
    assert.deepEqual(
      (await shown(site, "plain")).map(({ committed, lag }) => [committed, lag]),
      [
        [12, 8],
        [5, 0],
      ],
    );
    await setTo(site, "plain", new Date(1_700_000_000_000 + 3500).toISOString());
    assert.deepEqual(
      (await shown(site, "plain")).map(({ committed }) => committed),
      [4, 4],
    );
    const outside = await command(site, ["set", "--task", "plain", "--to", "6"]);
    assert.deepEqual([outside.code, /--to: \S+\/1 has the positions 0 to 5, not 6/.test(outside.stderr)], [2, true]);
    const running = site.start();
    await running.until("the rest was read", async () => (await running.counted("in", "plain")) === 17);
    const refused = await command(site, ["set", "--task", "plain", "--to", "earliest"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /the group "group-\S+" has members, .*: stop the task everywhere first/);
    assert.equal((await running.stop()).code, 0);
    assert.deepEqual(
      (await shown(site, "plain")).map(({ committed }) => committed),
      [20, 5],
    );
  });
}

test("where a Kafka task keeps state, set makes a checkpoint without state, also beside the running task", async (t) => {
  const topic = await makeTopic(addresses.kafka, 1);
  await produce(
    addresses.kafka,
    topic,
    0,
    Array.from({ length: 40 }, (_, index) => ({ key: "k", value: reading(index) })),
  );
  const input = { kafka: { topic, group: uniqueName("group") } };
  const site = siteOf(t, "platformatic", { tallied: { product: "tally", config: { input, output } } });
  assert.equal(await setTo(site, "tallied", "30"), `tallied ${topic}/0: begins without state at position 30\n`);
  const running = site.start();
  await running.until("it is saved", async () => (await shown(site, "tallied"))[0]?.checkpoint === 40);
  await running.until("so much was read, and no more", async () => (await running.counted("in", "tallied")) === 10);
  await setTo(site, "tallied", "earliest");
  // Its owner notices when it next wants to save.
  await produce(addresses.kafka, topic, 0, [{ key: "k", value: reading(40) }]);
  await running.until("all is read again", async () => (await shown(site, "tallied"))[0]?.checkpoint === 41);
  await running.until("that is counted", async () => (await running.counted("in", "tallied")) >= 10 + 41);
  assert.equal((await running.stop()).code, 0);
});

test("offsets of a JetStream consumer are shown, and set back by the server", async (t) => {
  const stream = await makeStream(t, addresses.nats);
  await store(
    t,
    addresses.nats,
    `${stream}.a`,
    Array.from({ length: 10 }, (_, index) => reading(index)),
  );
  const input = { jetstream: { stream, create: true } };
  const site = siteOf(t, "platformatic", { plain: { product: "doubler", config: { input, output } } });
  const partition = `${stream}/millrace-plain`;
  assert.deepEqual(await shown(site, "plain"), [{ partition, first: 1, end: 11 }]);
  const running = site.start();
  await running.until("all is done", async () => (await shown(site, "plain"))[0]?.committed === 11);
  assert.equal((await running.stop()).code, 0);
  assert.equal(await setTo(site, "plain", "4"), `plain ${partition}: goes on at position 4\n`);
  assert.deepEqual(await shown(site, "plain"), [{ partition, committed: 4, first: 1, end: 11, lag: 7 }]);
  const again = site.start();
  await again.until("the rest is done again", async () => (await shown(site, "plain"))[0]?.committed === 11);
  // Counters are told once a second.
  await again.until("so much was read, and no more", async () => (await again.counted("in", "plain")) === 7);
  assert.equal((await again.stop()).code, 0);
  const { manager } = await natsClient(t, addresses.nats);
  const message = await manager.streams.getMessage(stream, { seq: 6 });
  await setTo(site, "plain", message?.time.toISOString() ?? "");
  assert.ok(((await shown(site, "plain"))[0]?.committed ?? 99) <= 6, "messages of one millisecond come from the first of them");
  await setTo(site, "plain", "latest");
  assert.equal((await shown(site, "plain"))[0]?.committed, 11);
});

test("a source without offsets at a broker says so", async (t) => {
  const site = siteOf(t, "platformatic", { made: { product: "doubler", config: { input: { generator: { count: 1 } }, output } } });
  const { code, stderr } = await command(site, ["show", "--task", "made"]);
  assert.equal(code, 2);
  assert.match(stderr, /task "made" reads a generator source, which keeps no offsets at a broker/);
});
