/** A checkpoint whose position is not in the Kafka topic any more: what it does not have was deleted while nobody read. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import { committedPositions, deleteBefore } from "../support/kafka-records.ts";
import { deleteTopic, makeTopic } from "../support/kafka-topics.ts";
import { type KeyedText, writeByKcat } from "../support/kcat.ts";
import { Site } from "../support/operated.ts";
import { kafka } from "../support/services/index.ts";
import { judgeWindows, keyedReading, type Span, tickAfter, windowsInTopic } from "./readings.ts";

const address = await kafka();
const PRODUCT = fileURLToPath(new URL("../faults/products/fault-windows", import.meta.url));
/** Readings that are read, then deleted beside them, then there when it starts again, then written after that. */
const [READ, DELETED, THERE, ALL] = [2000, 3000, 4000, 5000];

/** The task's windows go on from what it had read, with what comes after the gap. */
const GOES_ON: Readonly<Record<"earliest" | "latest", readonly Span[]>> = {
  earliest: [
    [0, READ],
    [DELETED, ALL],
  ],
  latest: [
    [0, READ],
    [THERE, ALL],
  ],
};

for (const [policy, spans] of Object.entries(GOES_ON)) {
  test(`a checkpoint below the log's start ends the task with the gap; with onOutOfRange ${policy} its windows go on behind it`, async (t) => {
    const [input, output] = [await topic(t), await topic(t)];
    const taskWith = (more: object) => ({
      product: "fault-windows",
      config: { input: { kafka: { topic: input, ...more } }, output: { kafka: { topic: output } } },
    });
    const site = new Site(t, {
      products: [PRODUCT],
      settings: { kafka: { brokers: address.split(",") }, checkpoint: { interval: "200ms", store: { file: { path: "checkpoints" } } } },
      tasks: { gap: taskWith({}) },
    });
    const committed = async () => (await committedPositions(address, "millrace-gap", input)).get(0);
    await writeByKcat(address, input, readings(0, READ));
    const first = site.start();
    await first.until("it is read and saved", async () => (await committed()) === READ);
    assert.equal((await first.stop()).code, 0, first.output);

    await writeByKcat(address, input, readings(READ, THERE));
    await deleteBefore(address, input, 0, DELETED);
    const running = site.start();
    const reason = await running.until("the task says why it can't go on", async () => {
      const task = await running.task("gap");
      return task?.state === "backing-off" && (task.reason ?? false);
    });
    assert.match(reason, new RegExp(`position ${READ} is below the log's start ${DELETED}: ${DELETED - READ} offsets .*onOutOfRange`));
    assert.equal(await committed(), READ);

    site.writeTask("gap", taskWith({ onOutOfRange: policy }));
    running.signal("SIGHUP");
    await running.until("it goes on", async () => ((await committed()) ?? 0) === THERE);
    assert.match(running.output, new RegExp(`${DELETED - READ} offsets were deleted before they were read; going on at .*onOutOfRange`));
    await writeByKcat(address, input, readings(THERE, ALL));
    await writeByKcat(address, input, [tickAfter(ALL)]);
    await running.until("all is done", async () => (await committed()) === ALL + 1);
    assert.equal((await running.stop()).code, 0, running.output);
    const { figures, examples } = judgeWindows(spans, await windowsInTopic(address, output));
    assert.deepEqual([figures.windowErrors, figures.windowRepeats], [0, 0], examples.join("\n"));
  });
}

async function topic(t: TestContext): Promise<string> {
  const name = await makeTopic(address, 1);
  t.after(() => deleteTopic(address, name));
  return name;
}

function* readings(first: number, end: number): Generator<KeyedText> {
  for (let n = first; n < end; n++) yield keyedReading(n);
}
