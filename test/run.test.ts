import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";

import { SHARED_VARIABLES } from "./support/services/index.ts";

const RUN = new URL("run.ts", import.meta.url).pathname;

interface Result {
  readonly code: number;
  readonly output: string;
}

/** Runs test files with these texts as a run of their own, with services that are "named by the environment". */
async function runFiles(t: TestContext, files: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-run-"));
  t.after(async () => await rm(dir, { recursive: true, force: true }));
  const head = 'import { test } from "node:test"; import { spawn } from "node:child_process";\n';
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), head + text);
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const variable of Object.values(SHARED_VARIABLES)) env[variable] = "named by the test";
  // Else node takes the inner runner for a part of the outer.
  delete env["NODE_TEST_CONTEXT"];
  const command = [RUN, ...(args.length > 0 ? args : [join(dir, "*.test.ts")])];
  return await new Promise((resolve) => {
    execFile(process.execPath, command, { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

test("a run gives tests the addresses, and ends with the runner's closing lines and 0", async (t) => {
  const { code, output } = await runFiles(t, {
    "a.test.ts": 'test("address", (t) => t.assert.strictEqual(process.env["MILLRACE_TEST_NATS"], "named by the test"));',
  });
  assert.equal(code, 0, output);
  assert.match(output, /nats: from MILLRACE_TEST_NATS/);
  assert.match(output, /^ℹ pass 1$/m);
});

test("a run fails when a test does, and fault tests come after the others all the same", async (t) => {
  const { code, output } = await runFiles(t, {
    "a.fault.test.ts": 'test("the fault test", () => {});',
    "b.test.ts": 'test("the failing test", () => { throw new Error("no"); });',
  });
  assert.equal(code, 1, output);
  assert.ok(output.indexOf("✖ the failing test") < output.indexOf("✔ the fault test"), output);
  assert.match(output, /All together:\nℹ tests 2\nℹ suites 0\nℹ pass 1\nℹ fail 1\n/);
});

test("a run fails when tests leave a process behind", async (t) => {
  const { code, output } = await runFiles(t, {
    "a.test.ts": 'test("starts one", () => spawn("sleep", ["60"], { stdio: "ignore" }).unref());',
  });
  assert.equal(code, 1, output);
  assert.match(output, /Left behind by the tests, and ended:\n\d+ sleep 60/);
});

test("a run of no files fails", async (t) => {
  const { code, output } = await runFiles(t, {}, "nowhere/*.test.ts");
  assert.equal(code, 2);
  assert.match(output, /no test file matches nowhere/);
});
