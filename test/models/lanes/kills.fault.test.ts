/** Models whose threads and processes die again and again, in a running daemon: nobody notices but by the log. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import type { Running } from "../../support/operated.ts";
import { Site } from "../../support/operated.ts";
import { commandOf, descendants, isAlive, signalAll } from "../../support/processes.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";

/** Milliseconds. */
const LASTS = process.env["MILLRACE_TEST_FAULTS"] === "all" ? 60_000 : 12_000;
const KILL_EVERY = 2000;
/** The longest time without an output that is no stop of the pipeline: that of a start with a busy machine. */
const LONGEST_PAUSE = 10_000;
const RATE = 2000;
const FRAIL = fileURLToPath(new URL("./products/frail/", import.meta.url));

function modelProcesses(worker: number): readonly number[] {
  return descendants(worker).filter((pid) => commandOf(pid).includes("process-main"));
}

/** Waits until so much time has gone by under load, and tells of the longest time without an output meanwhile. */
async function underLoad(running: Running, turn: () => unknown = () => undefined): Promise<number> {
  const begin = performance.now();
  let [out, since, longest, next] = [0, begin, 0, begin + KILL_EVERY];
  await running.until(
    "the time is over",
    async () => {
      const now = performance.now();
      const count = await running.counted("out");
      longest = Math.max(longest, now - since);
      if (count > out) [out, since] = [count, now];
      if (now >= next) {
        turn();
        next += KILL_EVERY;
      }
      return now - begin >= LASTS;
    },
    LASTS + 60_000,
    20,
  );
  return longest;
}

async function checked(site: Site, running: Running, worker: number, longest: number): Promise<number> {
  const [after] = await running.workers();
  assert.equal(after, worker, "the worker was not restarted");
  // While none of its threads or processes is ready it waits, and tells so.
  const task = await running.until("the task runs", async () => (await running.tasks()).find(({ state }) => state === "running"));
  assert.deepEqual(
    task.instances.map(({ failed }) => failed),
    [0],
  );
  const children = descendants(running.pid);
  assert.equal((await running.stop()).code, 0, running.output);
  assert.ok(longest < LONGEST_PAUSE, `the longest pause was ${longest} ms`);
  await until("no process is left behind", () => !children.some(isAlive));
  const given = readFileSync(join(site.folder, "out.txt"), "utf8").trim().split("\n").map(Number);
  assert.deepEqual(
    given,
    given.map((_, index) => index),
    "every event, once, in order",
  );
  return given.length;
}

function siteOf(t: ConstructorParameters<typeof Site>[0], place: "threads" | "processes", marks?: string): Site {
  const config = { input: { generator: { rate: RATE } }, output: { file: { path: "out.txt" } }, place, marks };
  return new Site(t, { settings: { workers: 1 }, products: [FRAIL], tasks: { frail: { product: "frail", config } } });
}

test("model processes are killed every 2 s under load: every event is answered once, in order, and the worker lives on", async (t) => {
  const site = siteOf(t, "processes");
  const running = site.start();
  await running.until("events are written", async () => (await running.counted("out")) > 0);
  const [worker = 0] = await running.workers();
  let kills = 0;
  const longest = await underLoad(running, () => {
    const victims = modelProcesses(worker);
    signalAll(victims.slice(kills % 2, (kills % 2) + 1), "SIGKILL");
    kills += 1;
  });
  assert.ok(kills >= LASTS / KILL_EVERY - 1);
  const written = await checked(site, running, worker, longest);
  t.diagnostic(`${written} events, ${kills} kills, the longest pause ${Math.round(longest)} ms`);
});

for (const place of ["threads", "processes"] as const) {
  test(`${place} of a model exit, throw, hang and leak under load: every event is answered once, in order, and the worker lives on`, async (t) => {
    const site = siteOf(t, place, tempFolder(t));
    const running = site.start();
    await running.until("events are written", async () => (await running.counted("out")) > 0);
    const [worker = 0] = await running.workers();
    const longest = await underLoad(running);
    const written = await checked(site, running, worker, longest);
    const replaced = running.output.match(/another takes its place/g)?.length ?? 0;
    assert.ok(replaced >= 4, `only ${replaced} were replaced`);
    t.diagnostic(`${written} events, ${replaced} replaced, the longest pause ${Math.round(longest)} ms`);
  });
}
