import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import type { ModelReload } from "../../src/observability/admin.ts";
import type { ModelView } from "../../src/supervisor/model-ledger.ts";
import { millraceHere } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** A daemon that answers `/api/models` and reloads with these. @returns the flags that name it */
async function daemon(t: TestContext, models: readonly ModelView[], reloaded: Readonly<Record<string, readonly [number, string]>> = {}) {
  const server = createServer((request, response) => {
    const [status, body] =
      request.method === "POST" ? (reloaded[request.url ?? ""] ?? [404, "there is none"]) : [200, JSON.stringify(models)];
    response.writeHead(status).end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return ["--set", `admin.port=${(server.address() as AddressInfo).port}`];
}

const digits: ModelView = {
  name: "digits",
  kind: "processes",
  worker: 2,
  pid: 7,
  version: "3",
  state: "current",
  reason: "no process is ready\nand more",
  calls: 4,
  rows: 10,
  inFlight: 1,
  queued: 8,
  queueSeconds: 0,
  predictSeconds: 0.1,
  restarts: 5,
  errors: { TypeError: 2, RangeError: 1 },
};

test("models list shows each model of each worker with its numbers", async (t) => {
  const { code, stdout, stderr } = await millraceHere(["models", "list", ...(await daemon(t, [digits]))], { cwd: tempFolder(t) });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^digits +3 +processes +2 +current +4 +10 +2\.5 +25\.00 +1 +8 +3 +5 +no process is ready$/m);
});

test("models reload tells what became of the model in each worker, and fails when one could not load it", async (t) => {
  const done: ModelReload = { name: "a/b", workers: [{ worker: 1, pid: 7, kind: "worker", before: "1", version: "2" }] };
  const failed: ModelReload = {
    name: "bad",
    workers: [...done.workers, { worker: 2, pid: 8, kind: "worker", before: "1", error: "no default export" }],
  };
  const flags = await daemon(t, [], {
    "/api/models/a%2Fb/reload": [200, JSON.stringify(done)],
    "/api/models/bad/reload": [500, JSON.stringify(failed)],
    "/api/models/slow/reload": [409, '"slow" is being loaded anew already\n'],
  });
  const reload = (name: string) => millraceHere(["models", "reload", name, ...flags], { cwd: tempFolder(t) });
  assert.deepEqual(await reload("a/b"), { code: 0, stdout: "worker 1: 1 -> 2 (worker)\n", stderr: "" });
  const { code, stdout } = await reload("bad");
  assert.deepEqual([code, stdout], [1, "worker 1: 1 -> 2 (worker)\nworker 2: 1 goes on: no default export\n"]);
  assert.match((await reload("slow")).stderr, /"slow" is being loaded anew already/);
  assert.equal((await reload("absent")).code, 1);
});

test("without a daemon models can't be listed, and it says so", async (t) => {
  const { code, stderr } = await millraceHere(["models", "list", "--set", "admin.port=1"], { cwd: tempFolder(t) });
  assert.equal(code, 1);
  assert.match(stderr, /no daemon answers on http:\/\/127\.0\.0\.1:\d+/);
});
