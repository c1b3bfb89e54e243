import assert from "node:assert/strict";
import { test } from "node:test";

import { millraceHere, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";

test("millrace config shows each setting with its origin, and no secret", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "config/millrace.yaml": "workers: 3\nredis: {url: 'redis://:hunter2@r:1'}\n", "pw.txt": "geheim\n" });
  const env = { MILLRACE_KAFKA_BROKERS: "a:1,b:2", MILLRACE_KAFKA_SASL_PASSWORD_FILE: "pw.txt" };
  const sets = ["--set", "kafka.sasl.mechanism=scram-sha-512", "--set", "kafka.sasl.username=me"];
  const { code, stdout, stderr } = await millraceHere(["config", ...sets], { cwd, env });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^workers +3 +config\/millrace\.yaml:1$/m);
  assert.match(stdout, /^kafka\.brokers +a:1,b:2 +MILLRACE_KAFKA_BROKERS$/m);
  assert.match(stdout, /^kafka\.sasl\.username +me +--set$/m);
  assert.match(stdout, /^kafka\.sasl\.password +\[secret\] +MILLRACE_KAFKA_SASL_PASSWORD_FILE$/m);
  assert.match(stdout, /^redis\.url +redis:\/\/:\[secret\]@r:1 +config\/millrace\.yaml:2$/m);
  assert.match(stdout, /^shutdown\.timeout +20s +default$/m);
  assert.doesNotMatch(stdout + stderr, /hunter2|geheim/);
});

test("millrace config --json is the same as data", async (t) => {
  const { code, stdout } = await millraceHere(["config", "--json", "--set", "workers=2"], { cwd: tempFolder(t) });
  assert.equal(code, 0);
  const shown = JSON.parse(stdout) as { name: string; value: unknown; origin: string }[];
  assert.deepEqual(
    shown.find(({ name }) => name === "workers"),
    { name: "workers", value: 2, origin: "--set" },
  );
});

test("millrace config --explain tells what each setting is for", async (t) => {
  const { code, stdout } = await millraceHere(["config", "--explain"], { cwd: tempFolder(t) });
  assert.equal(code, 0);
  assert.match(
    stdout,
    /\nadmin\.port \(MILLRACE_ADMIN_PORT\)\n {2}The admin server's port; 0 for any free one\.\n {2}at least 0; at most 65535; default 7420\n/,
  );
  assert.match(stdout, /\nkafka\.sasl\.password \(MILLRACE_KAFKA_SASL_PASSWORD, or MILLRACE_KAFKA_SASL_PASSWORD_FILE\)\n/);
});

for (const command of ["config", "run", "list", "validate"]) {
  test(`millrace ${command} names all that is wrong with the settings and exits 78`, async (t) => {
    const cwd = tempFolder(t);
    writeFiles(cwd, { "config/millrace.yaml": "workers: many\nkafka:\n  broker: [a:1]\n", products: "no folder" });
    const { code, stderr, stdout } = await millraceHere([command, "--set", "kafka.brokers=nohost"], { cwd });
    assert.equal(code, 78);
    assert.match(stderr, /config\/millrace\.yaml:1: workers: must be a whole number/);
    assert.match(stderr, /config\/millrace\.yaml:3: "kafka\.broker" is no setting\. Did you mean "kafka\.brokers"\?/);
    assert.match(stderr, /--set kafka\.brokers\[0\]: must be an address/);
    assert.doesNotMatch(stderr, /\n {4}at /);
    assert.equal(stdout, "");
  });
}

test("broken YAML is named with its line and column", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "other.yaml": "workers: 2\nkafka: {brokers: [a:1\n" });
  const { code, stderr } = await millraceHere(["validate", "--config", "other.yaml"], { cwd });
  assert.equal(code, 78);
  assert.match(stderr, /other\.yaml:3:1: broken YAML: /);
});
