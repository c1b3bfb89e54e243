import assert from "node:assert/strict";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { MillraceError } from "../../../src/errors.ts";
import { fileSink } from "../../../src/sinks/file.ts";
import { letterOf } from "../../support/letters.ts";
import { openContext } from "../../support/open-context.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const never = new AbortController().signal;

async function open(t: TestContext, path: string) {
  const context = openContext(t);
  const box = (await fileSink({ path }).openLetters?.(context)) ?? assert.fail("a file keeps letters");
  t.after(() => box[Symbol.asyncDispose]());
  return { context, box, ids: () => Array.fromAsync(box.read("test", never), ({ id }) => id) };
}

test("a line has the letter's fields, its value as base64 and as text", async (t) => {
  const path = join(tempFolder(t), "letters.ndjson");
  const { box } = await open(t, path);
  await box.write([letterOf(7), letterOf(8, { value: Buffer.from([0xff]), time: Number.NaN })], never);
  await box.resolve("test", ["test:8"], never);
  const [first, second, resolved] = readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(first, {
    id: "test:7",
    task: "test",
    product: "test-product",
    step: "decode",
    origin: "kafka orders/3@7",
    holds: "record",
    error: "SyntaxError",
    message: "the value is no JSON: it is wrong at character 0",
    stack: "SyntaxError: the value is no JSON\n    at decode (index.ts:1:2)",
    first: "2026-01-01T00:00:00.007Z",
    last: "2026-01-01T00:00:00.007Z",
    version: "0.1.0",
    attempts: 1,
    place: { system: "kafka", name: "orders", partition: 3, offset: 7, key: "key 0", time: Date.UTC(2026, 0, 1) + 7 - 1000 },
    key: "key 0",
    time: "2025-12-31T23:59:59.007Z",
    headers: [["trace", "t7"]],
    value: "dmFsdWUgNw==",
    text: "value 7",
  });
  assert.deepEqual([second?.["value"], second?.["text"], second?.["time"]], ["/w==", undefined, undefined]);
  assert.deepEqual(resolved, { resolved: "test:8", task: "test" });
});

test("half a line harms neither what is read nor what is written behind it", async (t) => {
  const path = join(tempFolder(t), "letters.ndjson");
  const one = await open(t, path);
  await one.box.write([letterOf(1)], never);
  // As of another process that was killed in the middle, or a disk that was full.
  appendFileSync(path, '{"id":"test:9","task":"te');
  assert.deepEqual(await one.ids(), ["test:1"]);
  await one.box.write([letterOf(2)], never);
  appendFileSync(path, "no letter\n[]\nnull\n");
  assert.deepEqual(await one.ids(), ["test:1", "test:2"]);
  assert.match(one.context.lines.at(-1) ?? "", /^warn lines of the file are no dead letters; passed over .*"lines":4/);
  appendFileSync(path, '{"id":"test:10"');
  const another = await open(t, path);
  await another.box.write([letterOf(3)], never);
  assert.deepEqual(await another.ids(), ["test:1", "test:2", "test:3"]);
});

test("standard output is no place for letters", async (t) => {
  await assert.rejects(async () => await fileSink({ path: "-" }).openLetters?.(openContext(t)), MillraceError);
});
