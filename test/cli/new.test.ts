import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { millrace, millraceHere, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";

const HOOKS = fileURLToPath(new URL("../../src/hooks.ts", import.meta.url));

test("a new product has a test that passes, a task that is valid, and input to debug it with", async (t) => {
  const cwd = tempFolder(t);
  const made = await millraceHere(["new", "heat-alarm"], { cwd });
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /Made products\/heat-alarm/);
  const folder = join(cwd, "products/heat-alarm");
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const tested = await promisify(execFile)(process.execPath, ["--import", HOOKS, "--test", join(folder, "index.test.ts")], { cwd, env });
  assert.match(tested.stdout, /pass 1\n/);

  writeFiles(cwd, { "config/tasks/heat.yaml": readFileSync(join(folder, "task.example.yaml"), "utf8") });
  const checked = await millraceHere(["validate"], { cwd });
  assert.equal(checked.code, 0, checked.stderr);
  const ran = await millrace(["debug", "heat-alarm"], { cwd });
  assert.equal(ran.code, 0, ran.stderr);

  const debugFlags = [
    "--task",
    "@products/heat-alarm/task.example.yaml",
    "--input",
    "products/heat-alarm/input.example.ndjson",
    "--output",
    "-",
  ];
  const debugged = await millrace(["debug", ...debugFlags], { cwd });
  assert.equal(debugged.code, 0, debugged.stderr);
  assert.deepEqual(
    debugged.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
    [
      { device: "a", start: 0, count: 2, highest: 5 },
      { device: "b", start: 10_000, count: 1, highest: 4 },
    ],
  );
});

test("the task of a new product finds its input also where a settings file says what paths count from", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "etc/millrace.yaml": "products: [../own products]\ntasks: [tasks]\n" });
  const config = ["--config", "etc/millrace.yaml"];
  const made = await millraceHere(["new", "heat-alarm", ...config], { cwd });
  assert.equal(made.code, 0, made.stderr);
  writeFiles(cwd, { "etc/tasks/heat.yaml": readFileSync(join(cwd, "own products/heat-alarm/task.example.yaml"), "utf8") });
  const { code, stderr } = await millrace(["debug", "heat-alarm", ...config], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /in 4, out 2/);
});

test("a package.json above that can't be read does no harm", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "package.json": '{ "name": ' });
  const { code, stderr } = await millraceHere(["new", "heat-alarm"], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(readFileSync(join(cwd, "products/heat-alarm/package.json"), "utf8"), /"type":"module"/);
});

test("what exists is not overwritten", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "mine/taken/index.ts": "mine" });
  const { code, stderr } = await millraceHere(["new", "taken", "--set", "products=mine"], { cwd });
  assert.equal(code, 2);
  assert.match(stderr, /taken exists already; nothing was changed/);
  assert.equal(readFileSync(join(cwd, "mine/taken/index.ts"), "utf8"), "mine");
});

for (const name of ["HeatAlarm", "heat alarm", "../heat-alarm", "heat_alarm"]) {
  test(`${name} is no name for a product`, async (t) => {
    const { code, stderr } = await millraceHere(["new", name], { cwd: tempFolder(t) });
    assert.equal(code, 2);
    assert.match(stderr, /is no name for a product: .* For instance: heat-alarm\n$/);
  });
}

test("a folder that can't be made is named", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { products: "a file" });
  const { code, stderr } = await millraceHere(["new", "a"], { cwd });
  assert.equal(code, 1);
  assert.match(stderr, /products\/a can't be made: /);
});
