import assert from "node:assert/strict";
import { test } from "node:test";

import { Admin } from "@platformatic/kafka";

import { makeStream, natsClient, store } from "../support/jetstream.ts";
import { produce } from "../support/kafka-records.ts";
import { deleteTopic, KAFKA_CLIENTS, makeTopic, uniqueName } from "../support/kafka-topics.ts";
import { millrace, writeFiles } from "../support/millrace.ts";
import { kafka, nats } from "../support/services/index.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { INPUT, PROJECT } from "./fixtures.ts";

const RECORDS = INPUT.trim().split("\n");

function debugFlags(input: object, limit: number): string[] {
  const task = { id: "watch", product: "doubler", config: { input, output: { file: { path: "-" } } } };
  return ["debug", "--task", JSON.stringify(task), "--limit", String(limit)];
}

for (const client of KAFKA_CLIENTS) {
  test(`debug reads real Kafka through ${client} without joining the task's group`, async (t) => {
    const address = await kafka();
    const topic = await makeTopic(address, 2);
    t.after(() => deleteTopic(address, topic));
    await produce(
      address,
      topic,
      1,
      RECORDS.map((value) => ({ value })),
    );
    const cwd = tempFolder(t);
    writeFiles(cwd, PROJECT);
    const group = uniqueName("group");
    const flags = ["--set", `kafka.brokers=${address}`, "--set", `kafka.client=${client}`];
    const { code, stdout, stderr } = await millrace([...debugFlags({ kafka: { topic, group } }, 2), ...flags], { cwd });
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '{"device":"a","value":2}\n{"device":"b","value":4}\n');
    assert.match(stderr, /watch: finished; in 2, out 2/);
    const admin = new Admin({ clientId: "test", bootstrapBrokers: address.split(",") });
    t.after(() => admin.close());
    assert.equal((await admin.listGroups()).has(group), false);
  });
}

test("debug reads real JetStream without the task's consumer", async (t) => {
  const address = await nats();
  const stream = await makeStream(t, address);
  const subject = `${stream}.readings`;
  await store(t, address, subject, RECORDS);
  const cwd = tempFolder(t);
  writeFiles(cwd, PROJECT);
  const input = { jetstream: { stream, subject, consumer: "shared" } };
  const { code, stdout, stderr } = await millrace([...debugFlags(input, 3), "--set", `nats.servers=${address}`], { cwd });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, '{"device":"a","value":2}\n{"device":"b","value":4}\n{"device":"c","value":6}\n');
  const { manager } = await natsClient(t, address);
  const names = await Array.fromAsync(manager.consumers.list(stream), (consumer) => consumer.name);
  assert.equal(names.includes("shared"), false);
});
