import assert from "node:assert/strict";
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { type LogOptions, logFormat, openLogs } from "../../src/observability/logs.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** What `write` writes to the logs. */
function written(folder: string, options: Partial<LogOptions>, write: (logs: ReturnType<typeof openLogs>) => void): string {
  const file = join(folder, "log");
  write(openLogs({ level: "info", format: "json", secrets: [], ...options, fd: openSync(file, "w") }, { worker: 2 }));
  return readFileSync(file, "utf8");
}

test("an entry is a line of JSON with its fields, written at once", (t) => {
  const text = written(tempFolder(t), {}, ({ logger }) => logger.child({ task: "a" }).warn({ topic: "t", partition: 1, offset: 7 }, "hm"));
  const { time, ...entry } = JSON.parse(text) as Record<string, unknown>;
  assert.deepEqual(entry, { level: "warn", worker: 2, task: "a", topic: "t", partition: 1, offset: 7, msg: "hm" });
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
});

test("readable lines hold the same", (t) => {
  const text = written(tempFolder(t), { format: "pretty" }, ({ logger }) => logger.info({ task: "a" }, "hello"));
  assert.match(text, /INFO: hello.*"worker":2.*"task":"a"/);
});

test("secrets are hidden in fields and messages, also those learnt later and those in URLs", (t) => {
  for (const format of ["json", "pretty"] as const) {
    const text = written(tempFolder(t), { format, secrets: ["hunter22"] }, (logs) => {
      logs.logger.info({ reason: "it is hunter22" }, "hunter22 in redis://user:geheim@host/0");
      logs.hide(["swordfish"]);
      logs.logger.info({ password: "p4ssword", nested: { sasl: { password: "x-y-z" } } }, "swordfish");
      assert.equal(logs.shown("swordfish and hunter22"), "[secret] and [secret]");
    });
    assert.doesNotMatch(text, /hunter22|geheim|swordfish|p4ssword|x-y-z/);
    assert.match(text, /redis:\/\/user:\[secret\]@host/);
  }
});

test("the format follows the terminal unless it is set", () => {
  assert.equal(logFormat("auto", true), "pretty");
  assert.equal(logFormat("auto", false), "json");
  assert.equal(logFormat("json", true), "json");
  assert.equal(logFormat("pretty", false), "pretty");
});
