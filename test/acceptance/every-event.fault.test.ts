/** Every event reaches the sink once, in the order of its key where that is promised, as a client that is not ours reads it. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { makeStream } from "../support/jetstream.ts";
import { deleteTopic, KAFKA_CLIENTS, makeTopic } from "../support/kafka-topics.ts";
import { countByKcat, readByKcat, writeByKcat } from "../support/kcat.ts";
import { countByNats, readByNats, writeByNats } from "../support/nats-client.ts";
import { Site } from "../support/operated.ts";
import { kafka, nats } from "../support/services/index.ts";
import { eventCount, keyedBids, relayedBids } from "./bids.ts";

const PARTITIONS = 4;
const COUNT = eventCount(100_000);
/** The slowest machine that the tests are to pass on does so many events a second, beside other tests. */
const SLOWEST_RATE = 2000;
const PATIENCE = 60_000 + (COUNT / SLOWEST_RATE) * 1000;

for (const client of KAFKA_CLIENTS) {
  test(`${COUNT} bids through Kafka by ${client} with two workers`, async (t) => {
    const address = await kafka();
    const [input, output] = [await topic(t, address), await topic(t, address)];
    await writeByKcat(address, input, keyedBids(0, COUNT));
    const site = new Site(t, {
      settings: { kafka: { brokers: address.split(","), client } },
      tasks: {
        relay: { product: "relay", instances: 2, config: { input: { kafka: { topic: input } }, output: { kafka: { topic: output } } } },
      },
    });
    const running = site.start();
    const took = await throughput(t, async () => {
      await running.until("every event is written", async () => (await countByKcat(address, output, PARTITIONS)) >= COUNT, PATIENCE);
    });
    assert.equal((await running.workers()).length, 2);
    assert.equal((await running.stop()).code, 0, running.output);
    const found = relayedBids(COUNT);
    await readByKcat(address, output, (_, key, text) => found.take(key, text));
    t.diagnostic(`${JSON.stringify(found.figures())} in ${took} s with the start`);
    assert.deepEqual(found.figures(), { expected: COUNT, missing: 0, repeats: 0, orderBreaks: 0 });
  });
}

test(`${COUNT} bids through JetStream with two workers: four tasks, each with its part in order`, async (t) => {
  const address = await nats();
  const [input, output] = [await makeStream(t, address), await makeStream(t, address)];
  await writeByNats(address, input, parted(input));
  const parts = [...Array(PARTITIONS).keys()];
  const config = (part: number) => ({
    input: { jetstream: { stream: input, subject: `${input}.${part}`, create: true, consumer: `part-${part}` } },
    output: { jetstream: { subject: `${output}.${part}` } },
  });
  const site = new Site(t, {
    settings: { nats: { servers: [address] } },
    tasks: Object.fromEntries(parts.map((part) => [`relay-${part}`, { product: "relay", config: config(part) }])),
  });
  const running = site.start();
  const took = await throughput(t, async () => {
    await running.until("every event is written", async () => (await countByNats(address, output)) >= COUNT, PATIENCE);
  });
  assert.equal((await running.workers()).length, 2);
  assert.equal((await running.stop()).code, 0, running.output);
  const found = relayedBids(COUNT);
  await readByNats(address, output, (_, key, text) => found.take(key, text));
  t.diagnostic(`${JSON.stringify(found.figures())} in ${took} s with the start`);
  assert.deepEqual(found.figures(), { expected: COUNT, missing: 0, repeats: 0, orderBreaks: 0 });
});

test(`${COUNT} bids through JetStream with two workers that share a durable consumer`, async (t) => {
  const address = await nats();
  const [input, output] = [await makeStream(t, address), await makeStream(t, address)];
  const config = { input: { jetstream: { stream: input, create: true } }, output: { jetstream: { subject: `${output}.all` } } };
  const site = new Site(t, { settings: { nats: { servers: [address] } }, tasks: { relay: { product: "relay", instances: 2, config } } });
  const running = site.start();
  await running.until("both instances run", async () => (await running.task("relay"))?.state === "running");
  const took = await throughput(t, async () => {
    await writeByNats(address, input, parted(input));
    await running.until("every event is counted", async () => (await running.counted("out")) >= COUNT, PATIENCE);
  });
  const shares = ((await running.task("relay"))?.instances ?? []).map((instance) => instance.out);
  assert.equal((await running.workers()).length, 2);
  assert.equal((await running.stop()).code, 0, running.output);
  const found = relayedBids(COUNT);
  // There is no order over instances.
  await readByNats(address, output, (_, _key, text) => found.take(text, text));
  t.diagnostic(`${JSON.stringify(found.figures())} in ${took} s with the writing; shares ${shares.join(" and ")}`);
  assert.deepEqual(found.figures(), { expected: COUNT, missing: 0, repeats: 0, orderBreaks: 0 });
  assert.ok(shares.length === 2 && Math.min(...shares) > 0, `one of them did all: ${shares.join(" and ")}`);
});

async function topic(t: TestContext, address: string): Promise<string> {
  const name = await makeTopic(address, PARTITIONS);
  t.after(() => deleteTopic(address, name));
  return name;
}

/** The bids by auction on the subjects `STREAM.0` to `STREAM.3`. */
function* parted(stream: string): Generator<{ subject: string; key: string; text: string }> {
  for (const { key, text } of keyedBids(0, COUNT)) yield { subject: `${stream}.${Number(key) % PARTITIONS}`, key, text };
}

async function throughput(t: TestContext, work: () => Promise<void>): Promise<string> {
  const begin = performance.now();
  await work();
  const seconds = (performance.now() - begin) / 1000;
  t.diagnostic(`${Math.round(COUNT / seconds)} events/s`);
  return seconds.toFixed(1);
}
