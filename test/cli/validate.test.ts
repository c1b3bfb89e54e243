import assert from "node:assert/strict";
import { test } from "node:test";

import { millrace, millraceHere, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { PROJECT } from "./fixtures.ts";

test("millrace validate says when all is well", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, PROJECT);
  const { code, stdout, stderr } = await millraceHere(["validate"], { cwd });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "All is well: 1 product, 1 task.\n");
});

test("millrace validate names every fault of settings, products and tasks", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, {
    ...PROJECT,
    "config/millrace.yaml": "products: ../products\nadmin: {port: 99999}\n",
    "products/broken/index.ts": "export default {\n  name: 'broken',,\n};\n",
    "config/tasks/a.yaml":
      "id: deep\nproduct: doubler\nconfig:\n  input: {generator: {}}\n  output: {file: {path: o}}\n  factor:\n    by: many\n",
    "config/tasks/b.yaml": "id: lost\nproduct: dubler\n",
    "config/tasks/c.yaml": "id: ../../etc/passwd\nproduct: doubler\n",
    "config/tasks/d.yaml": "id: [open\n",
    "config/tasks/e.yaml": "id: twice\nproduct: doubler\nconfig: {input: {generator: {}}, output: {file: {path: o}}}\n",
  });
  const { code, stdout, stderr } = await millraceHere(["validate"], { cwd });
  assert.equal(code, 78);
  assert.equal(stdout, "");
  assert.match(stderr, /config\/millrace\.yaml:2: admin\.port: must be a whole number from 0 to 65535/);
  assert.match(stderr, /products\/broken\/index\.ts:2: product "broken": syntax error/);
  assert.match(stderr, /a\.yaml.*task "deep": .*config\.factor\.by.*number/s);
  assert.match(stderr, /b\.yaml.*"dubler".*Did you mean "doubler"\?/s);
  assert.match(stderr, /c\.yaml.*id: no valid id for a task/s);
  assert.match(stderr, /d\.yaml:\d+/);
  assert.match(stderr, /twice.*e\.yaml|e\.yaml.*twice/);
  assert.doesNotMatch(stderr, /\n {4}at /);
});

test("without any task there is nothing to run", async (t) => {
  const cwd = tempFolder(t);
  const { "products/doubler/index.ts": product = "" } = PROJECT;
  writeFiles(cwd, { "products/doubler/index.ts": product, "config/tasks/README.md": "none yet" });
  for (const command of ["validate", "run"]) {
    const { code, stderr } = await millrace([command, "--set", "admin.port=0"], { cwd });
    assert.equal(code, 78, stderr);
    assert.match(stderr, /task/);
  }
});

test("tasks are not looked for where a faulty setting says", async (t) => {
  const { code, stderr } = await millraceHere(["validate", "--set", "tasks=[3]"], { cwd: tempFolder(t) });
  assert.equal(code, 78);
  assert.match(stderr, /--set tasks\[0\]: must be \{files: FOLDER\}/);
  assert.match(stderr, /products and tasks were not checked/);
});
