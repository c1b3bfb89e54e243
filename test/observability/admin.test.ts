import assert from "node:assert/strict";
import { request } from "node:http";
import { test, type TestContext } from "node:test";

import { InfrastructureError } from "../../src/errors.ts";
import { type AdminSubject, startAdmin } from "../../src/observability/admin.ts";

async function admin(t: TestContext, subject: Partial<AdminSubject> = {}, host = "127.0.0.1"): Promise<string> {
  const server = await startAdmin({ tasks: () => [], notReady: () => [], metrics: async () => "m 1\n", ...subject }, { host, port: 0 });
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
  await assert.rejects(
    startAdmin({ tasks: () => [], notReady: () => [], metrics: async () => "" }, { host: "127.0.0.1", port: Number(port) }),
    (error) => {
      assert.ok(error instanceof InfrastructureError);
      assert.match(error.message, /can't listen on 127\.0\.0\.1:\d+: the port is in use; set admin\.port/);
      return true;
    },
  );
});
