/** The digits product as it is shipped, from Kafka to Kafka, while the processes of its model are killed. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { planOf, runPipeline } from "millrace/testing";

import type { Image, Reading } from "../../products/digits/image.ts";
import product from "../../products/digits/index.ts";
import { deleteTopic, makeTopic } from "../support/kafka-topics.ts";
import { countByKcat, readByKcat, writeByKcat } from "../support/kcat.ts";
import { Site } from "../support/operated.ts";
import { commandOf, descendants, signalAll } from "../support/processes.ts";
import { kafka } from "../support/services/index.ts";

const folder = new URL("../../products/digits/", import.meta.url);
const pictures = readFileSync(new URL("data/held-out.ndjson", folder), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Image);

const ROUNDS = 150;
const PARTITIONS = 2;
/** How often the model's processes are killed. */
const KILLS = 4;
/** Results in between: more than can be on their way from before a kill, so that no input is there at two of them, and taken for their cause. */
const BETWEEN_KILLS = 4000;

/** The pictures again and again, and in each round one that is none. */
function* records(): Generator<{ key: string; text: string }> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const { id, pixels } of pictures) yield record(`${round} ${id}`, pixels);
    yield record(`${round} small`, [0, 8, 16]);
  }
}

function record(id: string, pixels: readonly number[]): { key: string; text: string } {
  return { key: id, text: JSON.stringify({ id, pixels }) };
}

const address = await kafka();

test("every picture is read once, in order, as in one process; what is none is a dead letter that names the model", async (t) => {
  const [input, output, letters] = [
    await makeTopic(address, PARTITIONS),
    await makeTopic(address, PARTITIONS),
    await makeTopic(address, 1),
  ];
  t.after(async () => {
    for (const topic of [input, output, letters]) await deleteTopic(address, topic);
  });
  await writeByKcat(address, input, records());
  const config = {
    input: { kafka: { topic: input } },
    output: { kafka: { topic: output } },
    deadLetters: { kafka: { topic: letters } },
    model: "processes",
  };
  const site = new Site(t, {
    settings: { kafka: { brokers: address.split(",") }, workers: 1 },
    products: [fileURLToPath(folder)],
    tasks: { digits: { product: "digits", config } },
  });
  const running = site.start();
  const workers = await running.until("there is a worker", async () => (await running.workers()).length > 0 && (await running.workers()));
  const count = ROUNDS * pictures.length;
  const written = async () => await countByKcat(address, output, PARTITIONS);
  for (let kill = 0; kill < KILLS; kill++) {
    const models = await running.until("the model has a process", () => {
      const found = descendants(running.pid).filter((pid) => commandOf(pid).includes("lanes/process-main"));
      return found.length > 0 && found;
    });
    const before = await written();
    await running.until("it has answered", async () => (await written()) >= before + BETWEEN_KILLS);
    signalAll(models, "SIGKILL");
  }
  await running.until("all are written", async () => (await written()) === count, 120_000);
  assert.deepEqual(await running.workers(), workers, "a worker was restarted");
  assert.equal((await running.stop()).code, 0, running.output);

  const readings = new Map(
    (
      await runPipeline<Reading>(
        planOf(product, { input: { generator: {} }, output: { memory: { name: "unused" } } }),
        pictures.map((picture) => ({ value: JSON.stringify(picture) })),
      )
    ).values.map((reading) => [reading.id, reading]),
  );
  const expected = Array.from({ length: PARTITIONS }, (): string[] => []);
  await readByKcat(address, input, (partition, _key, text) => {
    const { id } = JSON.parse(text) as Image;
    const [round = "", picture = ""] = id.split(" ");
    if (picture === "small") return;
    expected[partition]?.push(JSON.stringify({ ...readings.get(picture), id: `${round} ${picture}` }));
  });
  const found = Array.from({ length: PARTITIONS }, (): string[] => []);
  await readByKcat(address, output, (partition, _key, text) => void found[partition]?.push(text));
  assert.deepEqual(found, expected);
  const kept: string[] = [];
  await readByKcat(address, letters, (_partition, _key, text) => void kept.push((JSON.parse(text) as Image).id));
  assert.deepEqual(kept.toSorted(), Array.from({ length: ROUNDS }, (_, round) => `${round} small`).toSorted());
});
