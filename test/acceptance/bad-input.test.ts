/** What can't be read or written, as a running daemon tells it: the task, the place, what to do; the other tasks run on. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { deleteAfter, makeStream, natsClient, uniqueName } from "../support/jetstream.ts";
import { deleteTopic, KAFKA_CLIENTS, makeTopic } from "../support/kafka-topics.ts";
import { writeByKcat, writeOneByKcat } from "../support/kcat.ts";
import { writeByNats } from "../support/nats-client.ts";
import { bidText } from "../support/nexmark.ts";
import { type Running, Site, type SiteOptions } from "../support/operated.ts";
import { kafka, nats, startNats } from "../support/services/index.ts";

const MIB = 1024 * 1024;
const output = { file: { path: "out.ndjson" } };
/** A task beside those that are wrong; it is to run on. */
const sound = { product: "relay", config: { input: { generator: { rate: 20 } }, output: { file: { path: "sound.ndjson" } } } };
const fromFile = (path: string, to: object = output) => ({ product: "relay", config: { input: { file: { path } }, output: to } });

test("run --until-done: a record that is no JSON fails its task alone, with its line and exit code 1", async (t) => {
  const site = new Site(t, {
    tasks: { bad: fromFile("bad.ndjson"), fine: fromFile("fine.ndjson", { file: { path: "fine-out.ndjson" } }) },
  });
  site.write("bad.ndjson", `${bidText(0)}\n{"n":1,\n${bidText(2)}\n`);
  site.write("fine.ndjson", `${bidText(0)}\n${bidText(1)}\n`);
  const running = site.start({ flags: ["--until-done"] });
  assert.equal(await running.exited, 1);
  assert.match(running.output, /"task":"bad".*the task failed: step \\"decode\\" at file bad\.ndjson:2: /);
  assert.equal(lines(site, "out.ndjson"), 1);
  assert.equal(lines(site, "fine-out.ndjson"), 2);
});

test("run --until-done: an empty file is no error", async (t) => {
  const site = new Site(t, { tasks: { empty: fromFile("empty.ndjson") } });
  site.write("empty.ndjson", "");
  const running = site.start({ flags: ["--until-done"] });
  assert.equal(await running.exited, 0, running.output);
  assert.equal(lines(site, "out.ndjson"), 0);
});

test("run --until-done: a line of 50 MB is refused by its place, with exit code 1", async (t) => {
  const site = new Site(t, { tasks: { large: fromFile("large.ndjson") } });
  site.write("large.ndjson", `${bidText(0)}\n{"filling":"${"x".repeat(50 * MIB)}"}\n`);
  const running = site.start({ flags: ["--until-done"] });
  assert.equal(await running.exited, 1);
  assert.match(running.output, /the task failed: step \\"source\\" at file large\.ndjson:2: .*maxLineBytes/);
  assert.ok(running.output.length < 5000, "the record is not logged");
});

test("files without permission are told, with what to do", async (t) => {
  const site = new Site(t, {
    tasks: {
      sound,
      input: fromFile("secret.ndjson"),
      output: fromFile("fine.ndjson", { file: { path: "locked/out.ndjson" } }),
      task: fromFile("fine.ndjson"),
    },
  });
  site.write("fine.ndjson", `${bidText(0)}\n`);
  site.write("secret.ndjson", `${bidText(0)}\n`);
  mkdirSync(join(site.folder, "locked"), 0o555);
  site.write("other.yaml", "workers: 1\n");
  for (const file of ["secret.ndjson", "tasks/task.json", "other.yaml"]) chmodSync(join(site.folder, file), 0);
  // Root may do everything, unless it gives up the right to.
  const place = process.getuid?.() === 0 ? { wrapper: ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] } : {};

  const refused = await site.command(["validate"], { ...place, settings: "other.yaml" });
  assert.equal(refused.code, 78, refused.stderr);
  assert.match(refused.stderr, /other\.yaml: .*permission/);

  const running = site.start(place);
  const reason = async (id: string, state: string) =>
    await running.until(`${id} is ${state}`, async () => {
      const task = await running.task(id);
      return task?.state === state && (task.reason ?? false);
    });
  assert.match(
    await reason("input", "failed"),
    /no permission to read the file .*secret\.ndjson: allow it to the user that Millrace runs as/,
  );
  assert.match(await reason("output", "failed"), /no permission to write the file .*locked\/out\.ndjson: allow it to the user/);
  assert.match(running.output, /tasks\/task\.json.*(?:permission|EACCES)/);
  await runsOn(running, "sound");
  assert.equal((await running.stop()).code, 0, running.output);
});

for (const client of KAFKA_CLIENTS) {
  test(`Kafka by ${client}: a record that is no JSON fails its task, with topic, partition and offset`, async (t) => {
    const address = await kafka();
    const topic = await topicOf(t, address, 1);
    await writeByKcat(
      address,
      topic,
      [0, 1, 2].map((n) => ({ key: "k", text: n === 1 ? "oops" : bidText(n) })),
    );
    const running = kafkaSite(t, address, client, { input: { kafka: { topic } }, output }).start();
    const reason = await stateOf(running, "odd", "failed");
    assert.match(reason, new RegExp(`^step "decode" at kafka ${topic}/0@1: `));
    assert.doesNotMatch(reason, /oops/);
    await runsOn(running, "sound");
    assert.equal((await running.stop()).code, 0, running.output);
  });

  test(`Kafka by ${client}: a record of 50 MB passes where there is room, and is refused by name where there is not`, async (t) => {
    const address = await kafka();
    const topic = await topicOf(t, address, 1, { "max.message.bytes": String(60 * MIB) });
    const small = await topicOf(t, address, 1);
    const text = `{"price":1,"filling":"${"x".repeat(50 * MIB)}"}`;
    await writeOneByKcat(address, topic, text);
    const site = kafkaSite(t, address, client, { input: { kafka: { topic } }, output });
    site.writeTask("refused", { product: "relay", config: { input: { kafka: { topic } }, output: { kafka: { topic: small } } } });
    const running = site.start();
    const reason = await stateOf(running, "refused", "failed");
    assert.match(
      reason,
      new RegExp(`^step "kafka" at kafka ${topic}/0@0: the record has about 524\\d+ bytes, more than the limit of 1000000`),
    );
    await running.until("the other task has it in its file", () => lines(site, "out.ndjson") === 1);
    assert.equal(readFileSync(join(site.folder, "out.ndjson")).length, text.length + 1);
    await runsOn(running, "sound");
    assert.ok(running.output.length < 20_000, "the record is not logged");
    assert.equal((await running.stop()).code, 0);
  });

  test(`Kafka by ${client}: a missing topic is said once and shown all the time, and found when it is made`, async (t) => {
    const address = await kafka();
    const topic = uniqueName("made-later");
    const running = kafkaSite(t, address, client, { input: { kafka: { topic } }, output }).start();
    await waitsVisibly(running, new RegExp(`topic "${topic}" does not exist; create it, or set create: true`));
    await makeTopic(address, 1, {}, topic);
    t.after(() => deleteTopic(address, topic));
    await writeByKcat(address, topic, [{ key: "k", text: bidText(0) }]);
    await running.until("the event is read", async () => (await running.counted("out", "odd")) === 1);
    assert.equal((await running.task("odd"))?.state, "running");
    assert.equal((await running.stop()).code, 0, running.output);
  });
}

test("JetStream: a missing stream is said once and shown all the time, and found when it is made", async (t) => {
  const address = await nats();
  const stream = uniqueName("made-later");
  const running = natsSite(t, address, { input: { jetstream: { stream, create: true } }, output }).start();
  await waitsVisibly(running, new RegExp(`no stream "${stream}": create it`));
  const { manager } = await natsClient(t, address);
  await manager.streams.add({ name: stream, subjects: [`${stream}.>`] });
  deleteAfter(t, address, stream);
  await writeByNats(address, stream, [{ subject: `${stream}.a`, key: "k", text: bidText(0) }]);
  await running.until("the event is read", async () => (await running.counted("out", "odd")) === 1);
  assert.equal((await running.stop()).code, 0, running.output);
});

test("JetStream: a record that is no JSON fails its task, with stream and sequence", async (t) => {
  const address = await nats();
  const stream = await makeStream(t, address);
  await writeByNats(
    address,
    stream,
    [0, 1, 2].map((n) => ({ subject: `${stream}.a`, key: "k", text: n === 1 ? "oops" : bidText(n) })),
  );
  const running = natsSite(t, address, { input: { jetstream: { stream, create: true } }, output }).start();
  const reason = await stateOf(running, "odd", "failed");
  assert.match(reason, new RegExp(`^step "decode" at jetstream ${stream}@2: `));
  await runsOn(running, "sound");
  assert.equal((await running.stop()).code, 0, running.output);
});

test("a record of 50 MB is more than NATS takes, and said so by its place", async (t) => {
  const [brokers, server] = [await kafka(), await nats()];
  const topic = await topicOf(t, brokers, 1, { "max.message.bytes": String(60 * MIB) });
  await writeOneByKcat(brokers, topic, `{"price":1,"filling":"${"x".repeat(50 * MIB)}"}`);
  const stream = await makeStream(t, server);
  const config = { input: { kafka: { topic } }, output: { jetstream: { subject: `${stream}.a` } } };
  const running = siteOf(t, { kafka: { brokers: brokers.split(",") }, nats: { servers: [server] } }, config).start();
  const reason = await stateOf(running, "odd", "failed");
  assert.match(
    reason,
    new RegExp(`^step "jetstream" at kafka ${topic}/0@0: the message has 524\\d+ bytes .*takes at most \\d+ \\(max_payload\\)`),
  );
  await runsOn(running, "sound");
  assert.equal((await running.stop()).code, 0, running.output);
});

test("a record of 20 MB passes through a NATS server that takes it", async (t) => {
  const large = await startNats({ config: `max_payload: ${40 * MIB}` });
  const stream = await makeStream(t, large.address);
  // After the stream was deleted.
  t.after(() => large[Symbol.asyncDispose]());
  const text = `{"price":1,"filling":"${"x".repeat(20 * MIB)}"}`;
  await writeByNats(large.address, stream, [{ subject: `${stream}.a`, key: "k", text }]);
  const site = natsSite(t, large.address, { input: { jetstream: { stream, create: true } }, output });
  const running = site.start();
  await running.until("it is in the file", () => lines(site, "out.ndjson") === 1);
  assert.equal(readFileSync(join(site.folder, "out.ndjson")).length, text.length + 1);
  assert.equal((await running.stop()).code, 0, running.output);
});

async function topicOf(t: TestContext, address: string, partitions: number, configs?: Readonly<Record<string, string>>): Promise<string> {
  const topic = await makeTopic(address, partitions, configs);
  t.after(() => deleteTopic(address, topic));
  return topic;
}

function kafkaSite(t: TestContext, address: string, client: (typeof KAFKA_CLIENTS)[number], config: object): Site {
  return siteOf(t, { kafka: { brokers: address.split(","), client } }, config);
}

function natsSite(t: TestContext, address: string, config: object): Site {
  return siteOf(t, { nats: { servers: [address] } }, config);
}

function siteOf(t: TestContext, settings: NonNullable<SiteOptions["settings"]>, config: object): Site {
  return new Site(t, {
    settings: { restart: { min: "300ms", max: "300ms" }, ...settings },
    tasks: { sound, odd: { product: "relay", config } },
  });
}

async function stateOf(running: Running, id: string, state: string): Promise<string> {
  return await running.until(`${id} is ${state}`, async () => {
    const task = await running.task(id);
    return task?.state === state && (task.reason ?? false);
  });
}

async function runsOn(running: Running, id: string): Promise<void> {
  const before = await running.counted("in", id);
  await running.until(`${id} runs on`, async () => (await running.counted("in", id)) > before);
}

/** How often the daemon is asked while something is missing: for some attempts to find it. */
const LOOKS = 60;

/** The task stays `starting` with its reason, however often it is tried again, and the log has a single line for it. */
async function waitsVisibly(running: Running, reason: RegExp): Promise<void> {
  await stateOf(running, "odd", "starting");
  await running.until("the reason is told", async () => reason.test((await running.task("odd"))?.reason ?? ""));
  let looks = 0;
  const seen = new Set<string>();
  await running.until("it was tried again", async () => {
    const task = await running.task("odd");
    seen.add(`${task?.state}: ${task?.reason}`);
    return ++looks === LOOKS;
  });
  assert.ok(
    [...seen].every((state) => state.startsWith("starting: ") && reason.test(state)),
    [...seen].join("\n"),
  );
  const told = running.output.split("\n").filter((line) => line.includes('"task":"odd"'));
  assert.equal(told.length, 1, told.join("\n"));
}

function lines(site: Site, name: string): number {
  const path = join(site.folder, name);
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
}
