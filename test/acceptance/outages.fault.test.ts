/**
 * Kafka, the store of checkpoints and the sink are killed under load, one after the other: everything waits, no worker is
 * restarted for it, their memory stays what it was, and all is delivered when they are back.
 *
 * MILLRACE_TEST_OUTAGE sets how long each is away, in seconds.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { check } from "../faults/checker.ts";
import { Generator } from "../faults/generator.ts";
import { type Input, kafkaInput } from "../faults/inputs.ts";
import { type Output, outputOf } from "../faults/outputs.ts";
import { type OwnServices, type ServiceName, startOwnServices } from "../faults/own-services.ts";
import { readWindow } from "../faults/readers.ts";
import { readRecord } from "../faults/record.ts";
import { type Running, Site } from "../support/operated.ts";
import type { Service } from "../support/services/index.ts";
import { WINDOW } from "./readings.ts";

const TASK = "faulty";
const PRODUCT = fileURLToPath(new URL("../faults/products/fault-windows", import.meta.url));
const OUTAGE = Number(process.env["MILLRACE_TEST_OUTAGE"] ?? 8) * 1000;
/** Events per second. */
const RATE = 1000;
/** An outage before those that count, so that what it needs for once is there. Milliseconds. */
const WARM_UP = 5000;
/** How much larger workers may become. */
const MOST_GROWTH = 0.3;
const EVERY = 250;
const PATIENCE = 120_000;

test(`Kafka, the store and the sink are away for ${OUTAGE / 1000} s each under load`, async (t) => {
  const { own, input, output, site } = await rigOf(t);
  const running = site.start();
  const load = new Generator(input.writer, { run: "outages", seed: 1, rate: RATE });
  t.after(() => load.end().catch(() => undefined));
  await running.until("the instances run", async () => (await running.task(TASK))?.state === "running", PATIENCE);
  const pids = await running.workers();
  assert.ok(pids.length > 0);
  const warming = serviceOf(own, "nats");
  await warming.kill();
  await delay(WARM_UP);
  await warming.restart();
  await caughtUp(input, running, "the first outage");
  const before = await largest(pids, OUTAGE / 2);
  for (const name of ["kafka", "redis", "nats"] as const) {
    const service = serviceOf(own, name);
    await service.kill();
    const [during, reason] = await Promise.all([largest(pids, OUTAGE), whyItWaits(running, name)]);
    await service.restart();
    const [after] = await Promise.all([largest(pids, OUTAGE / 2), caughtUp(input, running, name)]);
    t.diagnostic(`${name} away: ${mib(before)} before, ${mib(during)} during, ${mib(after)} after; ${reason}`);
    for (const [index, size] of [...during, ...after].entries()) {
      const was = before[index % before.length] ?? 0;
      assert.ok(size <= was * (1 + MOST_GROWTH), `a worker grew from ${mib([was])} to ${mib([size])} when ${name} was away`);
    }
    assert.deepEqual(await running.workers(), pids, "no worker was replaced");
    assert.deepEqual(
      (await running.task(TASK))?.instances.map(({ restarts }) => restarts),
      [0, 0],
    );
  }
  await load.end();
  await running.until("all records are done", async () => (await input.lag()) === 0, PATIENCE, 500);
  assert.equal((await running.stop()).code, 0, running.output);
  const written = (await input.read()).flatMap((text) => readRecord(text, "outages") ?? []);
  const windows = (await output.read()).map(readWindow);
  const { examples, ...verdict } = check(load.ledger.entries(), { input: written, windows }, { order: "by key", window: WINDOW });
  t.diagnostic(JSON.stringify(verdict));
  assert.ok(verdict.passed, examples.join("\n"));
});

interface OutageRig {
  readonly own: OwnServices;
  readonly input: Input;
  readonly output: Output;
  readonly site: Site;
}

/** Windows from Kafka to JetStream, with checkpoints in Redis: all of the test's own. */
async function rigOf(t: TestContext): Promise<OutageRig> {
  const own = await startOwnServices(t, new Set(["kafka", "redis", "nats"]), 1);
  const input = await kafkaInput(own, TASK);
  t.after(() => input.writer[Symbol.asyncDispose]());
  const output = await outputOf("jetstream", own);
  const config = { input: input.config, output: output.config };
  const site = new Site(t, {
    products: [PRODUCT],
    settings: {
      ...own.settings,
      // A worker that has no processor on a busy machine is not to be taken for one that hangs.
      worker: { heartbeat: "60s" },
      checkpoint: { interval: "1s", store: { redis: {} } },
    },
    tasks: { [TASK]: { product: "fault-windows", instances: 2, config } },
  });
  return { own, input, output, site };
}

function serviceOf({ services }: OwnServices, name: ServiceName): Service {
  return services.get(name) ?? assert.fail(`no ${name}`);
}

/** Waits until the backlog of an outage is done. */
async function caughtUp(input: Input, running: Running, name: string): Promise<void> {
  await running.until(`the backlog of ${name} is done`, async () => (await input.lag()) < 3 * RATE, PATIENCE, 500);
  await running.until("it runs", async () => (await running.task(TASK))?.state === "running", PATIENCE);
}

async function whyItWaits(running: Running, name: string): Promise<string> {
  return await running.until(`the task says that ${name} is away`, async () => (await running.task(TASK))?.reason ?? false, OUTAGE);
}

/** The largest resident size of each process in a time, in bytes. */
async function largest(pids: readonly number[], ms: number): Promise<readonly number[]> {
  const sizes = pids.map(() => 0);
  for (const end = performance.now() + ms; performance.now() < end;) {
    for (const [index, pid] of pids.entries()) sizes[index] = Math.max(sizes[index] ?? 0, residentBytes(pid));
    await delay(EVERY);
  }
  return sizes;
}

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) * 1024;
}

function mib(sizes: readonly number[]): string {
  return `${sizes.map((size) => Math.round(size / 1024 ** 2)).join(" and ")} MiB`;
}
