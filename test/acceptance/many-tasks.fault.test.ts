/** Hundreds of tasks on two workers, some of them broken in every way there is: the others run on. */
import assert from "node:assert/strict";
import { test } from "node:test";

import type { TaskView } from "../../src/supervisor/model.ts";
import { uniqueName } from "../support/kafka-topics.ts";
import { type Running, Site, type TaskOptions } from "../support/operated.ts";
import { kafka } from "../support/services/index.ts";

const GOOD = 280;
/** Until each broken task is found out. One that ends its worker is tried several times, alone. */
const PATIENCE = 240_000;

const topic = uniqueName("missing");

/** A task that generates its own input. */
function generated(id: string, product: string, more: object = {}, rate = 2): TaskOptions {
  return { product, config: { input: { generator: { rate } }, output: { file: { path: `out/${id}.ndjson` } }, ...more } };
}

function good(): Record<string, TaskOptions> {
  const kinds: readonly ((id: string) => TaskOptions)[] = [
    (id) => generated(id, "readings"),
    (id) => generated(id, "thresholds", { limit: { above: 50 } }),
    (id) => generated(id, "unruly"),
  ];
  const ids = Array.from({ length: GOOD }, (_, index) => `good-${index}`);
  return Object.fromEntries(ids.map((id, index) => [id, (kinds[index % kinds.length] as (id: string) => TaskOptions)(id)]));
}

const output = { file: { path: "out/broken.ndjson" } };
const generator = { generator: { rate: 2 } };
const misbehaves = (how: object) => generated("broken", "unruly", how, 10);

/** What is broken, and what is to be said of it. */
const BROKEN: Readonly<Record<string, readonly [task: object, state: string, reason: RegExp]>> = {
  "wrong-type": [generated("", "thresholds", { limit: { above: "much" } }), "invalid", /wrongtype\.json:1: config\.limit\.above: .*number/],
  "unknown-setting": [generated("", "readings", { colour: "red" }), "invalid", /unknownsetting\.json:1: config\.colour: unknown key/],
  "missing-setting": [{ product: "readings", config: { output } }, "invalid", /missingsetting\.json:1: config\.input: is missing/],
  "two-sources": [
    { product: "readings", config: { input: { ...generator, file: { path: "a" } }, output } },
    "invalid",
    /twosources\.json:1: config\.input: give exactly one source/,
  ],
  "unknown-product": [generated("", "treshold"), "invalid", /no product "treshold".*Did you mean "thresholds"\?/s],
  "../escape": [generated("", "readings"), "invalid", /no valid id/],
  "no-file": [
    { product: "unruly", config: { input: { file: { path: "gone.ndjson" } }, output } },
    "starting",
    /the file .*gone\.ndjson does not exist/,
  ],
  "build-throws": [misbehaves({ build: "throw" }), "invalid", /no such model.*unruly\/index\.ts:\d+/],
  "build-loops": [misbehaves({ build: "loop" }), "invalid", /pipeline\(\) did not finish in 10 s/],
  "build-exits": [misbehaves({ build: "exit" }), "invalid", /exit/],
  throws: [misbehaves({ run: "throw" }), "failed", /step "tap" at generator generator@4: a value that nobody thought of/],
  "no-json": [
    { product: "unruly", config: { input: { file: { path: "bad.ndjson" } }, output } },
    "failed",
    /step "decode" at file .*bad\.ndjson:2/,
  ],
  "no-topic": [
    { product: "unruly", config: { input: { kafka: { topic } }, output } },
    "starting",
    new RegExp(`topic.*${topic}|${topic}.*topic`),
  ],
  loops: [misbehaves({ run: "loop" }), "quarantined", /hang: no sign of life.*unruly\/index\.ts:\d+/],
  exits: [misbehaves({ run: "exit" }), "quarantined", /exit code 3: process\.exit\(3\) was called at .*unruly\/index\.ts:\d+/],
  aborts: [misbehaves({ run: "abort" }), "quarantined", /SIGABRT.*process\.abort\(\) was called at .*unruly\/index\.ts:\d+/],
  rejects: [misbehaves({ run: "reject" }), "quarantined", /a rejected promise.*nobody awaits this at .*unruly\/index\.ts:\d+/],
  timer: [misbehaves({ run: "timer" }), "quarantined", /an exception.*a value that nobody thought of at .*unruly\/index\.ts:\d+/],
  heap: [misbehaves({ run: "heap" }), "quarantined", /memory: the worker holds more than the limit of 500 MiB/],
  buffers: [misbehaves({ run: "buffers" }), "quarantined", /memory: the worker holds more than the limit of 500 MiB/],
};

test(`of 300 tasks of three products ${Object.keys(BROKEN).length} are broken: each is told with its reason, and the others run on`, async (t) => {
  assert.equal(GOOD + Object.keys(BROKEN).length, 300);
  const site = new Site(t, {
    products: ["readings", "thresholds", "unruly"],
    tasks: good(),
    settings: {
      kafka: { brokers: (await kafka()).split(",") },
      worker: { heartbeat: "5s", rssLimit: "500MiB" },
      restart: { min: "200ms", max: "2s" },
      quarantine: { after: 2, min: "10m" },
    },
  });
  site.write("bad.ndjson", '{"sequence":1}\n{oops\n');
  for (const [id, [task]] of Object.entries(BROKEN))
    site.write(`tasks/x-${id.replaceAll(/\W/g, "")}.json`, JSON.stringify({ id, ...task }));
  const running = site.start();
  const begin = performance.now();
  await running.until("most run", async () => (await runningGood(running)).length > GOOD / 2, PATIENCE, 500);
  const first = counts(await running.tasks());
  const found = new Map<string, number>();
  await running.until(
    "each broken task is told with its reason",
    async () => {
      const tasks = await running.tasks();
      for (const id of Object.keys(BROKEN)) if (isTold(tasks, id) && !found.has(id)) found.set(id, performance.now() - begin);
      const open = Object.keys(BROKEN).filter((id) => !isTold(tasks, id));
      if (open.length > 0)
        throw new Error(`not yet told: ${open.map((id) => JSON.stringify(tasks.filter((task) => task.id === id))).join("\n")}`);
      return true;
    },
    PATIENCE,
    500,
  );
  t.diagnostic(`found after seconds: ${[...found].map(([id, ms]) => `${id} ${Math.round(ms / 1000)}`).join(", ")}`);
  await running.until("all others run", async () => (await runningGood(running)).length === GOOD, PATIENCE, 500);
  const second = counts(await running.tasks());
  for (const [id, count] of first)
    assert.ok((second.get(id) ?? 0) > count, `${id} did not run on meanwhile: ${count} and ${second.get(id)}`);
  await running.until("the counters of all others rise", async () => {
    const now = counts(await running.tasks());
    return now.size === GOOD && [...now].every(([id, count]) => count > (second.get(id) ?? 0));
  });

  const port = new URL(await running.url()).port;
  const { code, stdout, stderr } = await site.command(["list", "--json", "--set", `admin.port=${port}`]);
  assert.equal(code, 0, stderr);
  const listed = JSON.parse(stdout) as readonly TaskView[];
  assert.equal(listed.length, 300);
  for (const id of Object.keys(BROKEN))
    assert.ok(isTold(listed, id), `list says of ${id}: ${JSON.stringify(listed.filter((task) => task.id === id))}`);
  const restarts = listed.flatMap(({ instances }) => instances).filter(({ state }) => state === "running");
  t.diagnostic(`restarts of a task that did no harm: at most ${Math.max(...restarts.map((instance) => instance.restarts))}`);
  const { took, code: ended } = await running.stop();
  assert.equal(ended, 0, running.output.slice(-3000));
  t.diagnostic(`stopped in ${Math.round(took)} ms`);
});

function isTold(tasks: readonly TaskView[], id: string): boolean {
  const [, state, reason] = BROKEN[id] as (typeof BROKEN)[string];
  return tasks.some((task) => task.id === id && task.state === state && reason.test(task.reason ?? ""));
}

async function runningGood(running: Running): Promise<readonly TaskView[]> {
  return (await running.tasks()).filter(({ id, state }) => id.startsWith("good-") && state === "running");
}

/** How many events each task has read that is not broken. */
function counts(tasks: readonly TaskView[]): ReadonlyMap<string, number> {
  const sound = tasks.filter(({ id, state }) => id.startsWith("good-") && state !== "invalid");
  return new Map(sound.map(({ id, instances }) => [id, instances.reduce((sum, instance) => sum + instance.in, 0)]));
}
