import assert from "node:assert/strict";
import { test } from "node:test";

import { millraceHere, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { PROJECT } from "./fixtures.ts";
import { TALLY } from "./tally.ts";

test("millrace graph draws a task's pipeline for Mermaid and for Graphviz", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, PROJECT);
  const mermaid = await millraceHere(["graph", "twice"], { cwd });
  assert.equal(mermaid.code, 0, mermaid.stderr);
  assert.match(mermaid.stdout, /^flowchart LR\n/);
  assert.match(mermaid.stdout, /source\(\["generator/);
  assert.match(mermaid.stdout, /step2\["double/);
  assert.match(mermaid.stdout, /sink1\[\("file<br\/>path: real-output\.ndjson/);
  assert.match(mermaid.stdout, /source --> step1\n {2}step1 --> step2\n {2}step2 --> sink1\n$/);
  const dot = await millraceHere(["graph", "twice", "--format", "dot"], { cwd });
  assert.equal(dot.code, 0, dot.stderr);
  assert.match(dot.stdout, /^digraph "twice" \{\n {2}rankdir=LR;\n/);
  assert.match(dot.stdout, /source -> step1;/);
});

test("graph and list tell which steps keep state, and where that is kept, or that nothing is", async (t) => {
  const cwd = tempFolder(t);
  const tally = "id: tallied\nproduct: tally\nconfig: { input: { generator: {} }, output: { file: { path: out.ndjson } } }\n";
  writeFiles(cwd, { ...PROJECT, "products/tally/index.ts": TALLY, "config/tasks/tallied.yaml": tally });
  const store = ["--set", 'checkpoint.store={"redis":{"url":"redis://:hunter22@state.example:6379"}}', "--set", "checkpoint.interval=5s"];
  const { stdout } = await millraceHere(["graph", "tallied", ...store], { cwd });
  assert.match(stdout, /^flowchart LR\n {2}%% state of tallies in checkpoints, every 5s, in Redis at redis:\/\/\S*@state\.example:6379\n/);
  assert.doesNotMatch(stdout, /hunter22/);
  assert.match(stdout, /\["tallies<br\/>[^"]*<br\/>keeps state"\]/);
  const bare = await millraceHere(["graph", "twice", "--format", "dot"], { cwd });
  assert.match(bare.stdout, /label="keeps no state and needs no store";/);
  const list = await millraceHere(["list", "--set", "admin.port=0", ...store], { cwd });
  assert.match(list.stdout, /^tallied +tally +stopped +0 +0 +0 +0 +checkpoints \(tallies\)$/m);
  assert.match(list.stdout, /^twice +doubler +stopped +0 +0 +0 +0 +-$/m);
  assert.match(list.stderr, /^\(checkpoints: every 5s, in Redis at redis:/m);
  assert.doesNotMatch(list.stderr, /hunter22/);
});

test("a secret of the task is not drawn", async (t) => {
  const cwd = tempFolder(t);
  const task = `id: hidden
product: doubler
config:
  input: { generator: { count: 3 } }
  output: { file: { path: "\${file:secret.txt}" } }
`;
  writeFiles(cwd, { ...PROJECT, "config/tasks/hidden.yaml": task, "secret.txt": 'hunter"22\n' });
  for (const format of ["mermaid", "dot"]) {
    const { code, stdout, stderr } = await millraceHere(["graph", "hidden", "--format", format], { cwd });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /path: (?:\[secret\]|#91;secret#93;)/);
    assert.doesNotMatch(stdout, /hunter/);
  }
});

test("a misspelt task gets a suggestion", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, PROJECT);
  const { code, stderr } = await millraceHere(["graph", "twise"], { cwd });
  assert.equal(code, 2);
  assert.match(stderr, /there is no task "twise"\. Did you mean "twice"\?/);
});

test("a task that is wrong is told why", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { ...PROJECT, "config/tasks/bad.yaml": "id: bad\nproduct: doubler\nconfig: {}\n" });
  const { code, stderr } = await millraceHere(["graph", "bad"], { cwd });
  assert.equal(code, 78);
  assert.match(stderr, /bad\.yaml.*config\.input/);
});
