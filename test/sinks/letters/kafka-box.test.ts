import assert from "node:assert/strict";
import { test } from "node:test";

import { kafkaSink } from "../../../src/sinks/kafka.ts";
import { produce } from "../../support/kafka-records.ts";
import { makeTopic, readAll } from "../../support/kafka-topics.ts";
import { letterOf } from "../../support/letters.ts";
import { openContext } from "../../support/open-context.ts";
import { kafka } from "../../support/services/index.ts";

const never = new AbortController().signal;

test("a letter has the original's value, key and headers, and ours behind them; records of others are passed over", async (t) => {
  const address = await kafka();
  const topic = await makeTopic(address, 1);
  await using box = (await kafkaSink({ topic }).openLetters?.(openContext(t, { kafka: address }))) ?? assert.fail("a topic keeps letters");
  await box.write([letterOf(7)], never);
  await produce(address, topic, 0, [
    { value: "no letter" },
    { value: null, headers: { "millrace-task": "test", "millrace-resolved": "test:7", "millrace-places": "junk" } },
    { value: "x", headers: { "millrace-task": "test", "millrace-id": "test:8", "millrace-place": "{}" } },
  ]);
  const ids = await Array.fromAsync(box.read("test", never), ({ id }) => id);
  assert.deepEqual(ids, ["test:7"]);
  await box.resolve("test", ids, never);
  const records = await readAll(address, topic);
  assert.deepEqual([records[0]?.payload, records[0]?.key], ["value 7", "key 0"]);
  const headers = records[0]?.headers ?? [];
  assert.deepEqual(
    headers.filter((_, index) => index % 2 === 0),
    [
      "trace",
      ...[
        "id",
        "task",
        "product",
        "step",
        "origin",
        "place",
        "holds",
        "error",
        "message",
        "stack",
        "attempts",
        "first",
        "last",
        "version",
      ].map((name) => `millrace-${name}`),
    ],
  );
  assert.equal(headers[headers.indexOf("millrace-origin") + 1], "kafka orders/3@7");
  const last = records.at(-1);
  assert.deepEqual([last?.payload, last?.key], [null, "key 0"]);
  assert.deepEqual(last?.headers, ["millrace-resolved", "test:7", "millrace-task", "test", "millrace-places", "[[0,0]]"]);
});
