import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { isAlive } from "../support/processes.ts";
import { until } from "../support/until.ts";
import { Daemon } from "./daemon.ts";

test("tasks with a finite input run to their end, and the run is done", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: { count: 20 }, b: { count: 10 } }, until: "done" });
  assert.deepEqual(await daemon.exited, { code: 0, signal: null }, daemon.output);
  assert.deepEqual(daemon.results("a"), [...Array(20).keys()]);
  assert.deepEqual(daemon.results("b"), [...Array(10).keys()]);
  assert.match(daemon.output, /a finished after .* 20 events in, 20 out/);
});

test("a run until done ends with 1 when a task fails, and the others come to their end", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: { count: 20 }, bad: { count: 10, does: "throw" }, endless: {} }, until: "done" });
  assert.deepEqual(await daemon.exited, { code: 1, signal: null }, daemon.output);
  assert.deepEqual(daemon.results("a"), [...Array(20).keys()]);
  assert.deepEqual(daemon.results("bad"), [0, 1, 2]);
  assert.ok(daemon.results("endless").length > 0);
});

test("without a valid task it ends with 78 and names every fault", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: undefined, b: undefined } });
  assert.deepEqual(await daemon.exited, { code: 78, signal: null }, daemon.output);
  assert.match(daemon.output, /a\.json[^]*every[^]*b\.json[^]*every/);
});

test("a port in use is told in one line, with exit code 1", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const daemon = new Daemon(t, { tasks: { a: {} }, settings: { admin: { host: "127.0.0.1", port } } });
  assert.deepEqual(await daemon.exited, { code: 1, signal: null });
  assert.match(daemon.output, new RegExp(`can't listen on 127\\.0\\.0\\.1:${port}: the port is in use`));
  assert.doesNotMatch(daemon.output, /\n\s+at /);
});

test("SIGTERM drains: everything read is written, and the exit code is 0", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: { every: 1 }, b: { every: 1 } } });
  await daemon.state("a", "running");
  await until("both have results", () => daemon.results("a").length > 20 && daemon.results("b").length > 20);
  const workers = daemon.workers();
  daemon.process.kill("SIGTERM");
  assert.deepEqual(await daemon.exited, { code: 0, signal: null }, daemon.output);
  for (const id of ["a", "b"]) assert.deepEqual(daemon.results(id), [...daemon.results(id).keys()]);
  assert.ok(workers.length >= 2 && !workers.some(isAlive));
});

test("signals to the whole group, as from a terminal, drain as well", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: { every: 1 } } });
  await daemon.state("a", "running");
  for (const pid of [...daemon.workers(), daemon.pid]) process.kill(pid, "SIGINT");
  assert.deepEqual(await daemon.exited, { code: 0, signal: null }, daemon.output);
});

test("a drain that takes too long ends with 124, and a second signal with 128 and its number", async (t) => {
  const options = { tasks: { a: { does: "stall", every: 1 } }, settings: { shutdown: { timeout: 1500 } } };
  const slow = new Daemon(t, options);
  const twice = new Daemon(t, { ...options, settings: { shutdown: { timeout: 60_000 } } });
  for (const daemon of [slow, twice]) {
    await until("the sink stalls", () => daemon.results("a").length === 3);
    daemon.process.kill("SIGTERM");
  }
  await until("the drain began", () => twice.output.includes("draining"));
  twice.process.kill("SIGINT");
  assert.deepEqual(await twice.exited, { code: 130, signal: null }, twice.output);
  assert.deepEqual(await slow.exited, { code: 124, signal: null }, slow.output);
});

test("a second signal ends it at once even while a task store gives no answer", async (t) => {
  const silent = createServer(() => undefined).listen(0, "127.0.0.1");
  t.after(() => silent.close());
  await once(silent, "listening");
  const url = `redis://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const daemon = new Daemon(t, { tasks: {}, settings: { tasks: [{ redis: { url, key: "tasks", every: 1000 } }] } });
  await daemon.url();
  daemon.process.kill("SIGTERM");
  await until("the drain began", () => daemon.output.includes("draining"));
  daemon.process.kill("SIGINT");
  assert.deepEqual(await daemon.exited, { code: 130, signal: null }, daemon.output);
});

test("no worker outlives a supervisor that was killed, not even one that hangs", async (t) => {
  const settings = { worker: { heartbeat: 600_000, startTimeout: 20_000, rssLimit: undefined } };
  const daemon = new Daemon(t, { tasks: { a: { every: 1 }, b: { does: "loop", every: 1 } }, settings });
  await until("both ran", () => daemon.results("a").length > 10 && daemon.results("b").length === 3);
  const workers = daemon.workers();
  assert.ok(workers.length >= 2);
  daemon.process.kill("SIGKILL");
  await until("all workers are gone", () => !workers.some(isAlive), { timeout: 15_000 });
});

test("a worker that was killed is replaced, and its tasks run again", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: { every: 5 }, b: { every: 5 } } });
  await daemon.state("a", "running");
  await daemon.state("b", "running");
  const metric = async (name: string) =>
    Number(new RegExp(`^${name}\\{task="a"[^}]*\\} (\\d+)`, "m").exec(await (await daemon.get("/metrics")).text())?.[1]);
  await until("something was counted", async () => (await metric("millrace_events_in_total")) > 50);
  const killed = (await daemon.tasks()).get("a")?.instances[0]?.pid as number;
  const before = await metric("millrace_events_in_total");
  process.kill(killed, "SIGKILL");
  await until("another worker runs it", async () => {
    assert.ok((await metric("millrace_events_in_total")) >= before, "counters never fall");
    const pid = (await daemon.tasks()).get("a")?.instances[0]?.pid;
    return pid !== undefined && pid !== killed;
  });
  const view = await daemon.state("a", "running");
  assert.equal(view.instances[0]?.restarts, 1);
  await until("it counts on", async () => (await metric("millrace_events_in_total")) > before);
  assert.equal(await metric("millrace_task_restarts_total"), 1);
  assert.equal((await daemon.get("/readyz")).status, 200);
});

test("a product that prints is not blamed when nobody reads the output any more", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: { does: "print", at: 300, every: 10 } } });
  await daemon.state("a", "running");
  daemon.process.stdout?.destroy();
  await until("it has printed", () => daemon.results("a").length > 320);
  assert.equal((await daemon.state("a", "running")).instances[0]?.restarts, 0);
});

test("a task store that was never read keeps the daemon from being ready, and no task from running", async (t) => {
  const daemon = new Daemon(t, {
    tasks: { a: {} },
    stores: [{ sql: { url: "sqlite:absent/tasks.db", query: "SELECT * FROM tasks", every: 100 } }],
  });
  await daemon.state("a", "running");
  const ready = await daemon.get("/readyz");
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /task store sql sqlite:/);
});

test("files of tasks start, restart and stop exactly their tasks, and SIGHUP tries failed ones again", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: {}, b: {}, bad: { does: "throw" } } });
  await daemon.state("a", "running");
  await daemon.state("bad", "failed");
  const since = (await daemon.state("a", "running")).instances[0]?.since;
  daemon.writeTask("c", {});
  await daemon.state("c", "running");
  daemon.writeTask("b", { every: 7 });
  await until("b starts anew", () => daemon.results("b").lastIndexOf(0) > 0);
  daemon.process.kill("SIGHUP");
  await until("the failed one is tried again", () => daemon.results("bad").length === 6);
  assert.equal((await daemon.state("a", "running")).instances[0]?.since, since);
});

test("reloads that are asked for during one are done as one", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: {} } });
  await daemon.state("a", "running");
  for (let signal = 0; signal < 15; signal++) {
    daemon.process.kill("SIGHUP");
    await delay(10);
  }
  const reloads = () => daemon.logged().filter(({ msg }) => msg === "products and tasks were read anew").length;
  await until("a second one is done", () => reloads() >= 2);
  for (let before = 0; before < reloads(); await delay(2000)) before = reloads();
  assert.ok(reloads() <= 3, `${reloads()} reloads`);
});

test("flags and variables for the debugger do not reach the workers", async (t) => {
  const daemon = new Daemon(t, {
    tasks: { a: { count: 3 } },
    until: "done",
    flags: ["--inspect=127.0.0.1:0"],
    env: { NODE_OPTIONS: "--inspect=0" },
  });
  assert.deepEqual(await daemon.exited, { code: 0, signal: null }, daemon.output);
  assert.equal(daemon.output.match(/Debugger listening/g)?.length, 1, daemon.output);
});

test("a product whose files were changed is run with its new code after SIGHUP, in the same worker", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: {}, b: {} } });
  const pid = (await daemon.state("a", "running")).instances[0]?.pid;
  await until("it works", () => daemon.results("a").length > 0);
  const file = join(daemon.folder, "products/probe/index.ts");
  writeFileSync(file, readFileSync(file, "utf8").replace("return n;", "return n + 1_000_000;"));
  daemon.process.kill("SIGHUP");
  await until("the new code works", () => (daemon.results("a").at(-1) ?? 0) >= 1_000_000);
  const pids = [...(await daemon.tasks()).values()].map(({ instances }) => instances[0]?.pid);
  assert.ok(pids.includes(pid));
});
