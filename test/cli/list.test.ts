import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { millrace, millraceHere, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { PROJECT } from "./fixtures.ts";

async function serve(t: TestContext, status: number, body: string): Promise<number> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(request.url === "/api/tasks" ? status : 404, { "content-type": "application/json" }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function project(t: TestContext): string {
  const cwd = tempFolder(t);
  writeFiles(cwd, { ...PROJECT, "config/tasks/bad.yaml": "id: bad\nproduct: doubler\nconfig: {}\n" });
  return cwd;
}

test("with no daemon running, millrace list shows what the stores hold", async (t) => {
  const { code, stdout, stderr } = await millraceHere(["list", "--set", "admin.port=0"], { cwd: project(t) });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^twice +doubler +stopped /m);
  assert.match(stdout, /^bad +doubler +invalid .*config\.input/m);
});

test("as JSON it has the shape of /api/tasks", async (t) => {
  const { stdout } = await millraceHere(["list", "--json", "--set", "admin.port=0"], { cwd: project(t) });
  const [twice, bad] = JSON.parse(stdout) as { id: string; reason?: string }[];
  assert.deepEqual(twice, { id: "twice", product: "doubler", state: "stopped", instances: [] });
  assert.deepEqual(
    { ...bad, reason: typeof bad?.reason },
    { id: "bad", product: "doubler", state: "invalid", reason: "string", instances: [] },
  );
});

test("a running daemon is asked", async (t) => {
  const instance = {
    worker: 1,
    pid: 2,
    state: "running",
    since: "2026-01-01T00:00:00.000Z",
    in: 7,
    out: 5,
    filtered: 2,
    late: 0,
    failed: 0,
    restarts: 0,
  };
  const views = [{ id: "live", product: "p", state: "running", instances: [instance] }];
  const port = await serve(t, 200, JSON.stringify(views));
  const flags = ["--set", `admin.port=${port}`];
  const cwd = project(t);
  const asJson = await millraceHere(["list", "--json", ...flags], { cwd });
  assert.deepEqual(JSON.parse(asJson.stdout), views);
  const asText = await millraceHere(["list", ...flags], { cwd });
  assert.match(asText.stdout, /^live +p +running +1 +7 +5 +0 +-$/m);
  assert.doesNotMatch(asText.stderr, /no daemon/);
});

test("something else on the admin port is told and passed over", async (t) => {
  for (const body of ['{"hello": "world"}', "[1, null]"]) {
    const port = await serve(t, 200, body);
    const { code, stdout, stderr } = await millraceHere(["list", "--set", `admin.port=${port}`], { cwd: project(t) });
    assert.equal(code, 0);
    assert.match(stderr, /is no Millrace/);
    assert.match(stdout, /^twice /m);
  }
});

test("a long list reaches a slow reader whole", async (t) => {
  const cwd = tempFolder(t);
  const ids = Array.from({ length: 4000 }, (_, number) => `task-${number}`);
  writeFiles(cwd, { "products/none.md": "", "config/tasks/all.yaml": ids.map((id) => `- { id: ${id}, product: missing }`).join("\n") });
  const listed = await millrace(["list", "--json", "--set", "admin.port=1"], { cwd });
  assert.equal(listed.code, 0, listed.stderr);
  assert.deepEqual((JSON.parse(listed.stdout) as { id: string }[]).map(({ id }) => id).toSorted(), ids.toSorted());
});
