import assert from "node:assert/strict";
import { test } from "node:test";

import { millraceHere } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";

const COMMANDS = ["run", "debug", "validate", "list", "graph", "config", "new"];

for (const command of COMMANDS) {
  test(`millrace ${command} --help has examples`, async (t) => {
    const { code, stdout, stderr } = await millraceHere([command, "--help"], { cwd: tempFolder(t) });
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`Usage: millrace ${command} `));
    assert.match(stdout, /\nExamples:\n {2}\$ .*millrace/);
    assert.equal(stderr, "");
  });
}

test("the version is the package's", async (t) => {
  const { code, stdout } = await millraceHere(["--version"], { cwd: tempFolder(t) });
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

for (const [args, message] of [
  [["valdate"], /unknown command 'valdate'\n\(Did you mean validate\?\)/],
  [["run", "--confg", "x"], /unknown option '--confg'\n\(Did you mean --config\?\)/],
  [["run", "extra"], /too many arguments for 'run'/],
  [["run", "--config"], /option '-c, --config <file>' argument missing/],
  [["graph"], /missing required argument 'task-id'/],
  [["graph", "a", "--format", "svg"], /Allowed choices are mermaid, dot/],
  [["debug", "a", "--limit", "0"], /It must be a whole number, at least 1/],
  [["debug"], /which task\?/],
  [["debug", "a", "--task", "{}"], /not both/],
  [["debug", "--task", '{"id": "a"'], /--task is neither JSON nor YAML/],
] as const) {
  test(`millrace ${args.join(" ")} is a wrong use`, async (t) => {
    const { code, stdout, stderr } = await millraceHere(args, { cwd: tempFolder(t) });
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.match(stderr, /^millrace: /);
    assert.doesNotMatch(stderr, /\n {4}at /, "a stack trace for a user's mistake");
    assert.equal(stdout, "");
  });
}

test("without a command the help is shown as for a wrong use", async (t) => {
  const { code, stderr } = await millraceHere([], { cwd: tempFolder(t) });
  assert.equal(code, 2);
  assert.match(stderr, /Usage: millrace \[options\] \[command\]/);
});
