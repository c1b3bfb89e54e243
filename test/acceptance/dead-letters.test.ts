/** Events that a product can't process, as a running daemon and its operator meet them. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { Deliveries } from "../support/deliveries.ts";
import { committedPositions } from "../support/kafka-records.ts";
import { deleteTopic, makeTopic, readAll, type ReadRecord } from "../support/kafka-topics.ts";
import { countByKcat, type KeyedText, readByKcat, writeByKcat } from "../support/kcat.ts";
import { bid } from "../support/nexmark.ts";
import { type Running, Site } from "../support/operated.ts";
import { kafka } from "../support/services/index.ts";
import { keyedBids } from "./bids.ts";

const address = await kafka();
const COUNT = 1000;
const BAD = 617;
/** Events of which none passes. */
const FLOOD = 20_000;
/** What a source gives at once of a partition. */
const BATCH = 1024;
/** From when the first of them was written until the task is paused, in milliseconds. */
const TRIPPED_WITHIN = 5000;

/** The product's part that is at fault, without the fault. */
const FIXED = `export function inEuros(price: number | null): number {
  return Math.round((price ?? 0) * 0.908);
}
`;

/** A bid without a price. Its bytes have spaces, which a copy made of its value would not. */
function badText(n: number): string {
  return `{ "n":${n}, "auction":  1, "price": null }`;
}

/** What the product, with or without the fault, makes of each event. */
function delivered(isBad: (n: number) => boolean, count: number): Deliveries {
  return new Deliveries(count, (n) => {
    const given = isBad(n) ? { n, auction: 1, price: 0 } : bid(n);
    return JSON.stringify({ ...given, price: Math.round(given.price * 0.908) });
  });
}

interface Rig {
  readonly site: Site;
  readonly input: string;
  readonly output: string;
  readonly letters: string;
}

async function rigOf(t: TestContext, partitions: number, withLetters: "with a box" | "without"): Promise<Rig> {
  const [input, output, letters] = [
    await makeTopic(address, partitions),
    await makeTopic(address, partitions),
    await makeTopic(address, 1),
  ];
  t.after(async () => {
    for (const topic of [input, output, letters]) await deleteTopic(address, topic);
  });
  const box = withLetters === "without" ? {} : { letters: { kafka: { topic: letters } } };
  const config = { input: { kafka: { topic: input } }, output: { kafka: { topic: output } }, ...box };
  const site = new Site(t, {
    products: ["exchange"],
    settings: { kafka: { brokers: address.split(",") } },
    tasks: { exchange: { product: "exchange", config } },
  });
  return { site, input, output, letters };
}

/** 1,000 bids of which one has no price. */
async function writeBids(topic: string): Promise<void> {
  await writeByKcat(address, topic, keyedBids(0, BAD));
  await writeByKcat(address, topic, [{ key: "1", text: badText(BAD) }], ["-H", "trace=t-617"]);
  await writeByKcat(address, topic, keyedBids(BAD + 1, COUNT));
}

test("of 1,000 events one is bad: 999 are delivered in order, one is kept as it was, and delivered when the product is fixed", async (t) => {
  const { site, input, output, letters } = await rigOf(t, 4, "with a box");
  await writeBids(input);
  const running = site.start();
  await running.until("all are done", async () => (await committed(input)) === COUNT);
  assert.equal((await running.task("exchange"))?.state, "running");
  const found = delivered((n) => n === BAD, COUNT);
  await readByKcat(address, output, (_partition, key, text) => found.take(key, text));
  assert.deepEqual(found.figures(), { expected: COUNT, missing: 1, repeats: 0, orderBreaks: 0 });
  const kept = await readAll(address, letters);
  const [letter] = kept as [ReadRecord];
  assert.deepEqual([kept.length, letter.key, letter.payload], [1, "1", badText(BAD)]);
  const headers = headersOf(letter);
  assert.deepEqual(
    ["trace", "millrace-task", "millrace-step", "millrace-error", "millrace-message", "millrace-attempts"].map((name) => headers.get(name)),
    ["t-617", "exchange", "exchange", "TypeError", "a bid without a price", "1"],
  );
  assert.match(headers.get("millrace-origin") ?? "", new RegExp(input));

  const again = await site.command(["dlq", "replay", "--task", "exchange"]);
  assert.equal(again.stdout, "exchange: replayed 0, failed again 1, not replayed 0\n", again.stderr);
  site.write("products/exchange/rate.ts", FIXED);
  const fixed = await site.command(["dlq", "replay", "--task", "exchange"]);
  assert.deepEqual([fixed.code, fixed.stdout], [0, "exchange: replayed 1, failed again 0, not replayed 0\n"], fixed.stderr);
  const rest = delivered((n) => n === BAD, COUNT);
  await readByKcat(address, output, (_partition, key, text) => rest.take(key, text));
  assert.deepEqual([rest.figures().missing, rest.figures().repeats], [0, 0]);
  const left = await site.command(["dlq", "list", "--json", "--task", "exchange"]);
  assert.deepEqual([left.code, left.stdout], [0, ""], left.stderr);
  assert.equal((await running.stop()).code, 0, running.output);
});

test("without a place for dead letters the task stops at the event, named, and commits nothing past it", async (t) => {
  const { site, input, output } = await rigOf(t, 1, "without");
  await writeBids(input);
  const running = site.start();
  const reason = await reasonOf(running, "failed");
  assert.equal(reason, `step "exchange" at kafka ${input}/0@${BAD}: a bid without a price`);
  await running.until("what came before it is committed", async () => (await committed(input)) === BAD);
  assert.equal(await countByKcat(address, output, 1), BAD);
  site.write("products/exchange/rate.ts", FIXED);
  running.signal("SIGHUP");
  await running.until("all are done", async () => (await committed(input)) === COUNT);
  const found = delivered((n) => n === BAD, COUNT);
  await readByKcat(address, output, (_partition, key, text) => found.take(key, text));
  assert.deepEqual(found.figures(), { expected: COUNT, missing: 0, repeats: 0, orderBreaks: 0 });
  assert.equal((await running.stop()).code, 0, running.output);
});

test("a topic of which no event passes pauses its task soon, and goes on when the product is fixed", async (t) => {
  const { site, input, output, letters } = await rigOf(t, 4, "with a box");
  const running = site.start();
  await running.until("it runs", async () => (await running.task("exchange"))?.state === "running");
  const begin = performance.now();
  await writeByKcat(address, input, allBad());
  const reason = await reasonOf(running, "paused");
  const took = performance.now() - begin;
  t.diagnostic(`paused after ${Math.round(took)} ms with the writing: ${reason}`);
  assert.match(
    reason,
    /^paused: \d+ of the \d+ events of the last 30 s failed, the last one at step "exchange": a bid without a price\. Nothing was committed past it/,
  );
  assert.ok(took < TRIPPED_WITHIN, `it took ${took} ms`);
  const kept = new Set((await readAll(address, letters)).map(({ payload }) => payload));
  // What was read counts, and not only what was tried.
  assert.ok(kept.size <= 4 * BATCH, `${kept.size} dead letters`);
  // What is committed was kept.
  assert.ok((await committed(input)) <= kept.size, `${await committed(input)} committed, ${kept.size} kept`);

  site.write("products/exchange/rate.ts", FIXED);
  running.signal("SIGHUP");
  await running.until("all are done", async () => (await committed(input)) === FLOOD);
  const replayed = await site.command(["dlq", "replay", "--task", "exchange"]);
  assert.equal(replayed.code, 0, replayed.stderr);
  const found = delivered(() => true, FLOOD);
  await readByKcat(address, output, (_partition, key, text) => found.take(key, text));
  t.diagnostic(JSON.stringify(found.figures()));
  assert.equal(found.figures().missing, 0);
  assert.equal((await running.stop()).code, 0, running.output);
});

function* allBad(): Generator<KeyedText> {
  for (let n = 0; n < FLOOD; n++) yield { key: `k${n % 100}`, text: badText(n) };
}

async function reasonOf(running: Running, state: string): Promise<string> {
  return await running.until(`the task is ${state}`, async () => {
    const task = await running.task("exchange");
    return task?.state === state && (task.reason ?? false);
  });
}

async function committed(topic: string): Promise<number> {
  const positions = await committedPositions(address, "millrace-exchange", topic);
  return [...positions.values()].reduce((sum, position) => sum + Math.max(position, 0), 0);
}

function headersOf({ headers = [] }: ReadRecord): ReadonlyMap<string, string> {
  return new Map(headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1] ?? ""] as const] : [])));
}
