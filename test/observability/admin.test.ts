import assert from "node:assert/strict";
import { request } from "node:http";
import { test, type TestContext } from "node:test";

import { InfrastructureError } from "../../src/errors.ts";
import { type AdminSubject, type ModelReload, startAdmin } from "../../src/observability/admin.ts";

const nothing: AdminSubject = {
  tasks: () => [],
  notReady: () => [],
  metrics: async () => "m 1\n",
  models: () => [],
  modelReloads: { reload: async () => "unknown" },
};

async function admin(t: TestContext, subject: Partial<AdminSubject> = {}, host = "127.0.0.1"): Promise<string> {
  const server = await startAdmin({ ...nothing, ...subject }, { host, port: 0 });
  t.after(() => server[Symbol.asyncDispose]());
  return server.url;
}

/** The status of a request with a Host header of its own, which fetch does not allow. */
function statusFor(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

test("it says that it is alive, and shows tasks and metrics", async (t) => {
  const url = await admin(t, { tasks: () => [{ id: "a" }] });
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  assert.deepEqual(await (await fetch(`${url}/api/tasks`)).json(), [{ id: "a" }]);
  const metrics = await fetch(`${url}/metrics`);
  assert.equal(metrics.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(await metrics.text(), "m 1\n");
  assert.equal((await fetch(`${url}/secret`)).status, 404);
  assert.equal((await fetch(`${url}/api/tasks`, { method: "POST" })).status, 404);
});

test("readyz names what is not ready", async (t) => {
  const notReady: { what: string; why: string }[] = [{ what: "task a", why: "there is no topic x" }];
  const url = await admin(t, { notReady: () => notReady });
  const response = await fetch(`${url}/readyz`);
  assert.equal(response.status, 503);
  assert.deepEqual(await response.json(), { ready: false, notReady });
  notReady.pop();
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
});

test("on a loopback address it answers to local names only", async (t) => {
  const url = await admin(t);
  const { port } = new URL(url);
  for (const host of ["localhost", `localhost:${port}`, "127.0.0.1", `[::1]:${port}`])
    assert.equal(await statusFor(`${url}/livez`, host), 200, host);
  for (const host of ["evil.example", `evil.example:${port}`, "localhost.evil.example", "127.0.0.1.evil.example"]) {
    assert.equal(await statusFor(`${url}/livez`, host), 403, host);
  }
});

test("on any other address it answers to all names", async (t) => {
  const url = await admin(t, {}, "0.0.0.0");
  assert.equal(await statusFor(`${url}/livez`, "millrace.example"), 200);
});

test("a port in use is an error that says what to do", async (t) => {
  const { port } = new URL(await admin(t));
  await assert.rejects(startAdmin(nothing, { host: "127.0.0.1", port: Number(port) }), (error) => {
    assert.ok(error instanceof InfrastructureError);
    assert.match(error.message, /can't listen on 127\.0\.0\.1:\d+: the port is in use; set admin\.port/);
    return true;
  });
});

test("a model is loaded anew by POST, and the answer tells what became of it in each worker", async (t) => {
  const reloads: Record<string, ModelReload | "under-way"> = {
    digits: { name: "digits", workers: [{ worker: 1, pid: 7, kind: "threads", before: "1", version: "2" }] },
    broken: { name: "broken", workers: [{ worker: 1, pid: 7, kind: "threads", before: "1", error: "no default export" }] },
    slow: "under-way",
  };
  const url = await admin(t, { modelReloads: { reload: async (name) => reloads[name] ?? "unknown" } });
  const reload = (name: string, headers = {}) => fetch(`${url}/api/models/${name}/reload`, { method: "POST", headers });
  const done = await reload("digits");
  assert.deepEqual([done.status, await done.json()], [200, reloads["digits"]]);
  const failed = await reload("broken");
  assert.deepEqual([failed.status, await failed.json()], [500, reloads["broken"]]);
  assert.equal((await reload("slow")).status, 409);
  assert.equal((await reload("absent")).status, 404);
  assert.equal((await fetch(`${url}/api/models/digits/reload`)).status, 404);
});

test("a page of another site can't have a model loaded anew", async (t) => {
  let reloads = 0;
  const url = await admin(t, {
    modelReloads: {
      reload: async (name) => {
        reloads++;
        return { name, workers: [] };
      },
    },
  });
  const statusFrom = async (headers: Record<string, string>) =>
    (await fetch(`${url}/api/models/digits/reload`, { method: "POST", headers })).status;
  assert.equal(await statusFrom({ origin: "https://evil.example" }), 403);
  assert.equal(await statusFrom({ origin: "null" }), 403);
  assert.equal(await statusFrom({ "sec-fetch-site": "cross-site" }), 403);
  assert.equal(reloads, 0);
  assert.equal(await statusFrom({ origin: url }), 200);
});
