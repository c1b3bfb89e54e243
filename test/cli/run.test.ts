import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { millrace, startMillrace, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";
import { PROJECT } from "./fixtures.ts";

const QUIET = ["--set", "admin.port=0", "--set", "workers=1"];

function task(id: string, config: object): string {
  return JSON.stringify({ id, product: "doubler", config });
}

const GOOD = task("good", { input: { file: { path: "input.ndjson" } }, output: { file: { path: "out.ndjson" } } });

function project(t: TestContext, tasks: Readonly<Record<string, string>>): string {
  const cwd = tempFolder(t);
  const { "products/doubler/index.ts": product = "", "input.ndjson": input = "" } = PROJECT;
  writeFiles(cwd, { "products/doubler/index.ts": product, "input.ndjson": input });
  for (const [name, text] of Object.entries(tasks)) writeFiles(cwd, { [`config/tasks/${name}.json`]: text });
  return cwd;
}

test("run --until-done runs what is valid and ends with 0", async (t) => {
  const cwd = project(t, { good: GOOD });
  const { code, stdout, stderr } = await millrace(["run", "--until-done", ...QUIET], { cwd });
  assert.equal(code, 0, stdout + stderr);
  assert.equal(readFileSync(join(cwd, "out.ndjson"), "utf8").split("\n").length, 4);
});

test("a task that is wrong is reported, the others run", async (t) => {
  const cwd = project(t, { good: GOOD, bad: task("bad", { input: {} }) });
  const { stdout } = await millrace(["run", "--until-done", ...QUIET], { cwd });
  assert.equal(readFileSync(join(cwd, "out.ndjson"), "utf8").split("\n").length, 4);
  assert.match(stdout, /"task":"bad".*config\.input/);
});

test("the exit code is the same when nobody reads the output", async (t) => {
  const cwd = project(t, { good: GOOD, bad: task("bad", { input: {} }) });
  const child = startMillrace(["run", "--until-done", ...QUIET], { cwd });
  child.stdout?.destroy();
  child.stderr?.destroy();
  assert.equal(await new Promise((resolve) => child.once("exit", resolve)), 1);
  assert.equal(readFileSync(join(cwd, "out.ndjson"), "utf8").split("\n").length, 4);
});

test("a port in use ends run with exit code 1", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const cwd = project(t, { good: GOOD });
  const { code, stderr } = await millrace(["run", "--set", `admin.port=${port}`, "--set", "workers=1"], { cwd });
  assert.equal(code, 1, stderr);
  assert.match(stderr, new RegExp(`^millrace: .*${port}`, "m"));
  assert.doesNotMatch(stderr, /\n {4}at /);
});

test("a broker address that does not resolve is waited for with a reason, shown by list; SIGTERM exits 0", async (t) => {
  const kafka = { topic: "t", group: "g" };
  const cwd = project(t, { lost: task("lost", { input: { kafka }, output: { file: { path: "out.ndjson" } } }) });
  const child = startMillrace(["run", ...QUIET, "--set", "kafka.brokers=no-such-broker.invalid:9092"], { cwd });
  t.after(() => child.kill("SIGKILL"));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.resume();
  const port = await until("the admin server listens", () => /"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(output)?.[1]);
  const shown = await until("the reason is known", async () => {
    const { stdout } = await millrace(["list", "--set", `admin.port=${port}`], { cwd });
    return stdout.includes("no-such-broker.invalid") && stdout;
  });
  assert.match(shown, /^lost +doubler +(?:starting|backing-off) +1 +0 +0 +0 +.*no-such-broker\.invalid/m);
  child.kill("SIGTERM");
  assert.equal(await ended, 0, output);
});
