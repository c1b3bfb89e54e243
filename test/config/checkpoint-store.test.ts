import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { readSettings, type ReadSettings } from "../../src/config/load.ts";
import { originText } from "../../src/config/settings.ts";
import { tempFolder } from "../support/temp-folder.ts";

interface Given {
  /** The text of config/millrace.yaml. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly sets?: readonly string[];
}

function read(t: TestContext, { file, env = {}, sets = [] }: Given): ReadSettings & { readonly cwd: string } {
  const cwd = tempFolder(t);
  mkdirSync(join(cwd, "config"));
  if (file !== undefined) writeFileSync(join(cwd, "config/millrace.yaml"), file);
  return { ...readSettings({ env, sets, cwd }), cwd };
}

function faults(t: TestContext, given: Given): readonly string[] {
  return read(t, given).faults.map(({ where, what }) => `${where}: ${what}`);
}

function shownStore(loaded: ReadSettings): string {
  const entry = loaded.entries.find(({ path }) => path === "checkpoint.store");
  return entry === undefined ? "" : `${JSON.stringify(entry.shown)} (${originText(entry.origin)})`;
}

test("checkpoints are made every ten seconds into a folder unless told otherwise", (t) => {
  const loaded = read(t, {});
  assert.deepEqual(loaded.settings.checkpoint, { interval: 10_000, store: { file: { path: join(loaded.cwd, "checkpoints") } } });
  assert.equal(shownStore(loaded), '{"file":{"path":"checkpoints"}} (default)');
});

test("a folder in the settings file counts from it", (t) => {
  for (const store of ["{ file: { path: state } }", "state"]) {
    const loaded = read(t, { file: `checkpoint:\n  interval: 500ms\n  store: ${store}` });
    assert.deepEqual(loaded.faults, []);
    assert.deepEqual(loaded.settings.checkpoint, { interval: 500, store: { file: { path: join(loaded.cwd, "config/state") } } });
  }
});

test("a Redis store takes redis.url when it has none of its own, and its password is hidden", (t) => {
  const common = read(t, { file: "redis: { url: 'redis://r:1' }\ncheckpoint: { store: { redis: {} } }" });
  assert.deepEqual(common.settings.checkpoint.store, { redis: { url: "redis://r:1" } });
  const own = read(t, { file: "redis: { url: 'redis://r:1' }\ncheckpoint:\n  store:\n    redis: { url: 'redis://:hunter2@own:2' }" });
  assert.deepEqual(own.settings.checkpoint.store, { redis: { url: "redis://:hunter2@own:2" } });
  assert.equal(shownStore(own), '{"redis":{"url":"redis://:[secret]@own:2"}} (config/millrace.yaml:3)');
  assert.ok(own.secrets.includes("hunter2"));
});

test("references in the store are resolved", (t) => {
  const file = "checkpoint: { store: { redis: { url: 'redis://:${file:word.txt}@r:1' } } }";
  const cwd = tempFolder(t);
  mkdirSync(join(cwd, "config"));
  writeFileSync(join(cwd, "config/millrace.yaml"), file);
  writeFileSync(join(cwd, "config/word.txt"), "s3cr3t\n");
  const loaded = readSettings({ env: {}, sets: [], cwd });
  assert.deepEqual(loaded.settings.checkpoint.store, { redis: { url: "redis://:s3cr3t@r:1" } });
  assert.doesNotMatch(JSON.stringify(loaded.entries), /s3cr3t/);
});

test("the environment and --set give the store as JSON or as a folder", (t) => {
  const bucket = { natsKv: { bucket: "state" } };
  const env = { MILLRACE_CHECKPOINT_INTERVAL: "2s", MILLRACE_CHECKPOINT_STORE: JSON.stringify(bucket) };
  const fromEnv = read(t, { file: "checkpoint: { store: { file: { path: x } } }", env });
  assert.deepEqual(fromEnv.settings.checkpoint, { interval: 2000, store: bucket });
  assert.equal(shownStore(fromEnv), '{"natsKv":{"bucket":"state"}} (MILLRACE_CHECKPOINT_STORE)');
  const bySet = read(t, { env, sets: ["checkpoint.store=/var/state"] });
  assert.deepEqual(bySet.settings.checkpoint.store, { file: { path: "/var/state" } });
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["interval: 50ms", /millrace\.yaml:2: checkpoint\.interval: must be at least 100 ms, not "50ms"/],
  ["store: 7", /millrace\.yaml:2: checkpoint\.store: must be \{redis: \{url\}\}, \{natsKv: \{bucket\}\} or \{file: \{path\}\}, not 7/],
  ["store: []", /checkpoint\.store: must be /],
  ["store: {}", /checkpoint\.store: must have exactly one of redis, natsKv, file/],
  ["store: { file: { path: x }, redis: {} }", /must have exactly one/],
  ["store: { natskv: { bucket: x } }", /checkpoint\.store\.natskv: is no kind of checkpoint store\. Did you mean "natsKv"\?/],
  ["store:\n    file:\n      Path: x", /millrace\.yaml:4: checkpoint\.store\.file\.Path: is unknown/],
  ["store: { file: { path: 1 } }", /checkpoint\.store\.file\.path: must be the path of a folder, not 1/],
  ["store: { natsKv: {} }", /checkpoint\.store\.natsKv: needs bucket/],
  ["store: { natsKv: { bucket: a.b } }", /checkpoint\.store\.natsKv\.bucket: must be a name/],
  ["store: { redis: { url: 'http://:hunter2@x' } }", /checkpoint\.store\.redis\.url: must be a URL that begins with redis:/],
  ["store: { redis: null }", /checkpoint\.store\.redis: must be a map with url, not null/],
];

for (const [line, message] of WRONG) {
  test(`refuses ${line}`, (t) => {
    const found = faults(t, { file: `checkpoint:\n  ${line}` });
    assert.ok(
      found.some((fault) => message.test(fault)),
      JSON.stringify(found),
    );
    assert.doesNotMatch(found.join(), /hunter2/);
  });
}

test("broken JSON in the environment is named", (t) => {
  assert.match(
    faults(t, { env: { MILLRACE_CHECKPOINT_STORE: "{file:" } }).join(),
    /^MILLRACE_CHECKPOINT_STORE: checkpoint\.store: must be /,
  );
});
