import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { SinkSpec } from "../../src/contracts.ts";
import type { DeadLetter } from "../../src/dead-letter.ts";
import { jetstreamSink } from "../../src/sinks/jetstream.ts";
import { kafkaSink } from "../../src/sinks/kafka.ts";
import { makeStream, stored } from "../support/jetstream.ts";
import { makeTopic, readAll } from "../support/kafka-topics.ts";
import { letterOf } from "../support/letters.ts";
import { millraceHere, writeFiles } from "../support/millrace.ts";
import { openContext } from "../support/open-context.ts";
import { kafka, nats } from "../support/services/index.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { PROJECT } from "./fixtures.ts";

const never = new AbortController().signal;
const addresses = { kafka: await kafka(), nats: await nats() };
const SETTINGS = ["--set", `kafka.brokers=${addresses.kafka}`, "--set", `nats.servers=${addresses.nats}`];
const ID = "4bf92f3577b34da6a3ce929d0e0e4736";

/** Keeps a letter, runs a command over it, and gives the ids that are left. */
async function withLetter(t: TestContext, spec: SinkSpec, letter: DeadLetter, args: readonly string[]) {
  const context = openContext(t, addresses);
  await using box = (await spec.openLetters?.(context)) ?? assert.fail("keeps no letters");
  await box.write([letter], never);
  const cwd = tempFolder(t);
  writeFiles(cwd, PROJECT);
  const ended = await millraceHere(["dlq", ...args, ...SETTINGS], { cwd });
  return { ...ended, left: await Array.fromAsync(box.read(letter.task, never), ({ id }) => id) };
}

const letter = (system: string, name: string) =>
  letterOf(0, {
    id: ID,
    task: "watch",
    product: "doubler",
    origin: { system, name, partition: 0 },
    key: "k",
    value: Buffer.from("{}"),
    attempts: 3,
  });

test("dlq replay --to source writes the original back to its Kafka topic, marked, and resolves it", async (t) => {
  const [topic, letters] = [await makeTopic(addresses.kafka, 1), await makeTopic(addresses.kafka, 2)];
  const task = { id: "watch", product: "doubler", config: { input: { kafka: { topic } }, output: { file: { path: "-" } } } };
  const flags = ["--task", JSON.stringify(task), "--sink", JSON.stringify({ kafka: { topic: letters } })];
  const given = letter("kafka", topic);
  const ended = await withLetter(t, kafkaSink({ topic: letters }), given, ["replay", ...flags, "--to", "source"]);
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(ended.left, []);
  const [record] = await readAll(addresses.kafka, topic);
  assert.deepEqual([record?.key, record?.payload], ["k", "{}"]);
  assert.deepEqual(record?.headers, [
    "trace",
    "t0",
    "millrace-replay",
    ID,
    "millrace-attempts",
    "3",
    "millrace-first",
    String(given.firstFailure),
  ]);
});

test("dlq replay --to source stores the original in its stream, marked, and resolves it", async (t) => {
  const [stream, letters] = [await makeStream(t, addresses.nats), await makeStream(t, addresses.nats)];
  const input = { jetstream: { stream, subjects: [`${stream}.a`, `${stream}.b`] } };
  const task = { id: "watch", product: "doubler", config: { input, output: { file: { path: "-" } } } };
  const subject = `${letters}.dead`;
  const flags = ["--task", JSON.stringify(task), "--sink", JSON.stringify({ jetstream: { subject } })];
  const given = letter("jetstream", stream);
  const unclear = await withLetter(t, jetstreamSink({ subject }), given, ["replay", ...flags, "--to", "source"]);
  assert.equal(unclear.code, 2);
  assert.match(unclear.stderr, /name the one to write to with --subject/);
  assert.deepEqual(unclear.left, [ID]);
  const ended = await withLetter(t, jetstreamSink({ subject }), given, ["replay", ...flags, "--to", "source", "--subject", `${stream}.b`]);
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(ended.left, []);
  const messages = await stored(t, addresses.nats, stream);
  assert.deepEqual(
    messages.map(({ text }) => text),
    ["{}"],
  );
  assert.deepEqual(messages[0]?.headers["millrace-replay"], [ID]);
});
