/** One windowed product gives the same bytes whatever its events come through. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { makeStream } from "../support/jetstream.ts";
import { deleteTopic, makeTopic } from "../support/kafka-topics.ts";
import { readByKcat, writeByKcat } from "../support/kcat.ts";
import { readByNats, writeByNats } from "../support/nats-client.ts";
import { bid, type BidTimes } from "../support/nexmark.ts";
import { Site } from "../support/operated.ts";
import { kafka, nats } from "../support/services/index.ts";
import { eventCount, keyedBids } from "./bids.ts";

/** 10,000 bids are a second of event time. */
const COUNT = eventCount(200_000);
/** Events are up to 300 ms late. */
const DISORDER: BidTimes = { group: 3000 };
const NOTHING_LATE = "1s";
const MUCH_LATE = "50ms";
/** What is to come of the results must not come from the last windows still being open: a last event, for no auction, ends them. */
const LAST = JSON.stringify({ n: COUNT, auction: 0, bidder: 0, price: 0, dateTime: bid(COUNT).dateTime + 60_000 });

const [kafkaAddress, natsAddress] = [await kafka(), await nats()];

test("out of order, with late events: a file, a Kafka topic of one partition and a stream give the same", async (t) => {
  const expected = await throughFile(t, MUCH_LATE);
  assert.ok(expected.late > 0, "nothing was late");
  assert.ok(expected.results.length > 1000);
  assert.deepEqual(await throughKafka(t, MUCH_LATE, 1, expected.late), expected.results);
  assert.deepEqual(await throughJetStream(t, MUCH_LATE, expected.late), expected.results);
});

test("where nothing is late, several partitions give the same as one", async (t) => {
  const expected = await throughFile(t, NOTHING_LATE);
  assert.equal(expected.late, 0);
  assert.equal(sumOfBids(expected.results), COUNT);
  assert.deepEqual(await throughKafka(t, NOTHING_LATE, 4, 0), expected.results);
});

interface Results {
  /** Lines of JSON, sorted. */
  readonly results: readonly string[];
  readonly late: number;
}

function sumOfBids(results: readonly string[]): number {
  return results.reduce((sum, line) => sum + (JSON.parse(line) as { value: { bids: number } }).value.bids, 0);
}

async function throughFile(t: TestContext, outOfOrderness: string): Promise<Results> {
  const config = { input: { file: { path: "bids.ndjson" } }, output: { file: { path: "results.ndjson" } }, outOfOrderness };
  const site = siteOf(t, config);
  site.write("bids.ndjson", `${[...events()].map(({ text }) => text).join("\n")}\n`);
  const running = site.start();
  await running.until("it has finished", async () => (await running.task("hot"))?.state === "finished");
  const late = await running.counted("late");
  assert.equal((await running.stop()).code, 0, running.output);
  const results = readFileSync(join(site.folder, "results.ndjson"), "utf8").split("\n").slice(0, -1);
  return { results: results.sort(), late };
}

async function throughKafka(t: TestContext, outOfOrderness: string, partitions: number, late: number): Promise<readonly string[]> {
  const [input, output] = [await makeTopic(kafkaAddress, partitions), await makeTopic(kafkaAddress, 1)];
  t.after(async () => {
    await deleteTopic(kafkaAddress, input);
    await deleteTopic(kafkaAddress, output);
  });
  await writeByKcat(kafkaAddress, input, keyedBids(0, COUNT, DISORDER));
  for (let partition = 0; partition < partitions; partition++) {
    await writeByKcat(kafkaAddress, input, [{ key: "last", text: LAST }], ["-p", String(partition)]);
  }
  const config = { input: { kafka: { topic: input } }, output: { kafka: { topic: output } }, outOfOrderness };
  await workThrough(siteOf(t, config, partitions === 1 ? 1 : 2), COUNT + partitions, late);
  const results: string[] = [];
  await readByKcat(kafkaAddress, output, (_partition, _key, text) => results.push(text));
  return results.sort();
}

async function throughJetStream(t: TestContext, outOfOrderness: string, late: number): Promise<readonly string[]> {
  const [input, output] = [await makeStream(t, natsAddress), await makeStream(t, natsAddress)];
  const subject = `${input}.bids`;
  await writeByNats(natsAddress, input, withSubject(subject));
  const config = {
    input: { jetstream: { stream: input, create: true } },
    output: { jetstream: { subject: `${output}.all` } },
    outOfOrderness,
  };
  await workThrough(siteOf(t, config), COUNT + 1, late);
  const results: string[] = [];
  await readByNats(natsAddress, output, (_subject, _key, text) => results.push(text));
  return results.sort();
}

/** Runs until so many events are read, of which so many are late, and all results written. */
async function workThrough(site: Site, events: number, late: number): Promise<void> {
  const running = site.start();
  await running.until("all events are read", async () => (await running.counted("in")) === events, 120_000);
  await running.until(`${late} events are late`, async () => (await running.counted("late")) === late);
  assert.equal((await running.stop()).code, 0, running.output);
}

function siteOf(t: TestContext, config: object, instances = 1): Site {
  return new Site(t, {
    settings: { kafka: { brokers: kafkaAddress.split(",") }, nats: { servers: [natsAddress] } },
    products: ["hot-auctions"],
    tasks: { hot: { product: "hot-auctions", instances, config } },
  });
}

function* events(): Generator<{ key: string; text: string }> {
  yield* keyedBids(0, COUNT, DISORDER);
  yield { key: "last", text: LAST };
}

function* withSubject(subject: string): Generator<{ subject: string; key: string; text: string }> {
  for (const event of events()) yield { ...event, subject };
}
