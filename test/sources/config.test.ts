import assert from "node:assert/strict";
import { test } from "node:test";

import { source, sourceConfig } from "../../src/sources/config.ts";

const KINDS = {
  kafka: { kafka: { topic: "orders" } },
  jetstream: { jetstream: { stream: "orders" } },
  file: { file: { path: "in.ndjson" } },
  generator: { generator: {} },
};

const issues = (config: unknown) => {
  const parsed = sourceConfig.safeParse(config);
  return (parsed.error?.issues ?? []).map(({ path, message }) => `${path.join(".")}: ${message}`);
};

test("each kind of source by its config", () => {
  for (const [kind, config] of Object.entries(KINDS)) assert.equal(source(sourceConfig.parse(config)).kind, kind);
  assert.deepEqual(
    Object.values(KINDS).map((config) => source(sourceConfig.parse(config)).finite),
    [false, false, true, false],
  );
  assert.equal(source(sourceConfig.parse({ generator: { count: 5 } })).finite, true);
});

test("what is wrong is told at its place", () => {
  assert.deepEqual(issues({}), [": give exactly one source: kafka, jetstream, file or generator"]);
  assert.deepEqual(issues({ ...KINDS.file, ...KINDS.generator }), [": give exactly one source: kafka, jetstream, file or generator"]);
  assert.deepEqual(issues({ kafak: { topic: "a" } }), [
    ': Unrecognized key: "kafak"',
    ": give exactly one source: kafka, jetstream, file or generator",
  ]);
  assert.deepEqual(issues({ file: { path: "a", format: "xml" } }), [
    'file.format: Invalid option: expected one of "ndjson"|"json"|"csv"|"text"',
  ]);
  assert.deepEqual(issues({ file: { path: "a", pace: { by: "at", factor: 0 } } }), [
    "file.pace.factor: Too small: expected number to be >0",
  ]);
  assert.deepEqual(issues({ file: { path: "a", paths: "b" } }), ['file: Unrecognized key: "paths"']);
});
