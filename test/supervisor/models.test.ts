import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";

import type { ModelReload } from "../../src/observability/admin.ts";
import type { ModelView } from "../../src/supervisor/model-ledger.ts";
import { descendants, isAlive } from "../support/processes.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";
import { Daemon } from "./daemon.ts";

/** The models that the daemon shows. */
async function models(daemon: Daemon): Promise<readonly ModelView[]> {
  return (await (await daemon.get("/api/models")).json()) as ModelView[];
}

async function metric(daemon: Daemon, name: string): Promise<number> {
  const text = await (await daemon.get("/metrics")).text();
  return Number(new RegExp(`^${name}\\{model="doubled",version="1",kind="worker"\\} (\\d+)`, "m").exec(text)?.[1]);
}

async function reload(daemon: Daemon): Promise<{ readonly status: number; readonly answer: ModelReload }> {
  const response = await fetch(`${await daemon.url()}/api/models/doubled/reload`, { method: "POST" });
  return { status: response.status, answer: (await response.json()) as ModelReload };
}

test("the models of each worker are shown with their numbers, which never fall when a worker is killed", async (t) => {
  const daemon = new Daemon(t, { tasks: {}, asking: { a: {}, b: {} } });
  const rows = () => metric(daemon, "millrace_model_rows_total");
  await until("both workers' models were asked", async () => (await models(daemon)).filter(({ rows }) => rows > 20).length === 2);
  const shown = await models(daemon);
  assert.deepEqual(
    new Set(shown.map(({ name, kind, version, state }) => `${name} ${kind} ${version} ${state}`)),
    new Set(["doubled worker 1 current"]),
  );
  assert.deepEqual(new Set(shown.map(({ worker }) => worker)), new Set([1, 2]));
  const before = await rows();
  const killed = shown[0]?.pid as number;
  process.kill(killed, "SIGKILL");
  await until("another worker has the model", async () => {
    assert.ok((await rows()) >= before, "counts never fall");
    const now = await models(daemon);
    return now.length === 2 && now.every(({ pid }) => pid !== killed);
  });
  await until("it counts on", async () => (await rows()) > before + 50);
});

test("a model is loaded anew in every worker when it is asked for, and a broken one leaves the old one at work", async (t) => {
  const daemon = new Daemon(t, { tasks: {}, asking: { a: {}, b: {} } });
  await until("both workers have the model", async () => (await models(daemon)).length === 2);
  const file = join(daemon.askingFolder, "model.ts");
  const first = readFileSync(file, "utf8");
  writeFileSync(file, first.replace('version: "1"', 'version: "2"'));
  const done = await reload(daemon);
  assert.equal(done.status, 200, JSON.stringify(done));
  assert.deepEqual(
    done.answer.workers.map(({ worker, kind, version }) => [worker, kind, version]),
    [
      [1, "worker", "2"],
      [2, "worker", "2"],
    ],
  );
  writeFileSync(file, "export const nothing = 1;\n");
  const failed = await reload(daemon);
  assert.equal(failed.status, 500);
  assert.match(failed.answer.workers[0]?.error ?? "", /model\.ts: it has no default export/);
  await until("the refusal is shown", async () =>
    (await models(daemon)).every(({ refusal = "", version }) => version === "2" && refusal.includes("no default export")),
  );
  const written = daemon.results("a").length;
  await until("the old version goes on", () => daemon.results("a").length > written + 50);
  assert.equal((await daemon.state("a", "running")).instances[0]?.restarts, 0);
});

test("with tracing on, calls of models are sent as spans, also the last ones before a stop", async (t) => {
  let rows = 0;
  const collector = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      for (const [, count] of body.matchAll(/"millrace\.model\.rows","value":\{"intValue":(\d+)/g)) rows += Number(count);
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  t.after(() => {
    collector.close();
    collector.closeAllConnections();
  });
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const daemon = new Daemon(t, { tasks: {}, asking: { a: { rate: 20 } }, settings: { tracing: { endpoint, sample: 1 }, workers: 1 } });
  await until("spans have come", () => rows > 3);
  daemon.process.kill("SIGTERM");
  assert.deepEqual(await daemon.exited, { code: 0, signal: null }, daemon.output);
  assert.equal(rows, daemon.results("a").length);
});

for (const place of ["threads", "processes"]) {
  test(`while no model in ${place} is ready the daemon is not, and says why`, async (t) => {
    const gate = join(tempFolder(t), "open");
    const daemon = new Daemon(t, { tasks: {}, asking: { a: { place, gate } }, settings: { workers: 1 } });
    const notReady = async () => {
      const response = await daemon.get("/readyz");
      const { notReady: found } = (await response.json()) as {
        readonly notReady: readonly { readonly what: string; readonly why: string }[];
      };
      return response.status === 503 ? found.find(({ what }) => what === "task a")?.why : undefined;
    };
    assert.match(await until("it is not ready before its model is", notReady), /starting|model/);
    writeFileSync(gate, "");
    await until("it has results", () => daemon.results("a").length > 5);
    assert.equal((await daemon.get("/readyz")).status, 200);
  });
}

test("a model process that is killed is told of until another is ready, and nothing is lost", async (t) => {
  const gate = join(tempFolder(t), "open");
  writeFileSync(gate, "");
  const daemon = new Daemon(t, { tasks: {}, asking: { a: { place: "processes", gate } }, settings: { workers: 1 } });
  await until("it has results", () => daemon.results("a").length > 5);
  const worker = (await daemon.tasks()).get("a")?.instances[0]?.pid as number;
  const [model] = descendants(worker);
  assert.ok(model !== undefined);
  rmSync(gate);
  process.kill(model, "SIGKILL");
  assert.match((await daemon.state("a", "backing-off")).reason ?? "", /model/);
  assert.equal((await daemon.get("/readyz")).status, 503);
  await until("the model says why as well", async () => /model/.test((await models(daemon))[0]?.reason ?? ""));
  writeFileSync(gate, "");
  await daemon.state("a", "running");
  const written = daemon.results("a").length;
  await until("it goes on", () => daemon.results("a").length > written + 20);
  assert.deepEqual(
    daemon.results("a"),
    daemon.results("a").map((_, index) => index * 2),
  );
  await until("its restart was counted", async () => (await models(daemon))[0]?.restarts === 1);
});

test("an open circuit is told of until the model's endpoint answers again", async (t) => {
  let status = 200;
  const endpoint = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => response.writeHead(status).end(String(Number(body) * 2)));
  }).listen(0, "127.0.0.1");
  await once(endpoint, "listening");
  t.after(() => {
    endpoint.close();
    endpoint.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
  const daemon = new Daemon(t, { tasks: {}, asking: { a: { place: "http", url } }, settings: { workers: 1 } });
  await until("it has results", () => daemon.results("a").length > 5);
  status = 503;
  const view = await daemon.state("a", "backing-off");
  assert.match(view.reason ?? "", /^model doubled@1: the circuit is open since .*answered 503/);
  assert.equal((await daemon.get("/readyz")).status, 503);
  await until("the model says why as well", async () => /circuit is open/.test((await models(daemon))[0]?.reason ?? ""));
  status = 200;
  await daemon.state("a", "running");
  const written = daemon.results("a").length;
  await until("it goes on", () => daemon.results("a").length > written);
});

test("no process of a model outlives its worker that was killed, nor the daemon", async (t) => {
  const daemon = new Daemon(t, { tasks: {}, asking: { a: { place: "processes" } }, settings: { workers: 1 } });
  await until("it has results", () => daemon.results("a").length > 5);
  const worker = (await daemon.tasks()).get("a")?.instances[0]?.pid as number;
  const orphans = descendants(worker);
  assert.ok(orphans.length > 0);
  process.kill(worker, "SIGKILL");
  await until("its model's processes are gone", () => !orphans.some(isAlive));
  const written = daemon.results("a").length;
  await until("another worker goes on", () => daemon.results("a").length > written);
  const all = [...daemon.workers()];
  daemon.process.kill("SIGKILL");
  await until("all are gone", () => !all.some(isAlive), { timeout: 15_000 });
});
