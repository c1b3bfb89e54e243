import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { changedFiles, contentsOf, fingerprintOf } from "../../src/tasks/fingerprint.ts";
import { tempFolder } from "../support/temp-folder.ts";

const fingerprint = async (folder: string) => fingerprintOf(folder, await contentsOf(folder));

test("what changed are the files that hold something else, came or went", async (t) => {
  const folder = tempFolder(t);
  const path = (name: string) => join(folder, name);
  for (const name of ["a.ts", "b.ts", "c.ts"]) writeFileSync(path(name), name);
  const before = await contentsOf(folder);
  writeFileSync(path("a.ts"), "another");
  rmSync(path("b.ts"));
  writeFileSync(path("d.ts"), "");
  assert.deepEqual(changedFiles(before, await contentsOf(folder)), [path("a.ts"), path("b.ts"), path("d.ts")]);
});

test("a fingerprint follows the content of files at any depth, and nothing else", async (t) => {
  const folder = tempFolder(t);
  const path = (name: string) => join(folder, name);
  mkdirSync(path("inner"));
  mkdirSync(path("node_modules"));
  writeFileSync(path("index.ts"), "1");
  writeFileSync(path("inner/a.ts"), "2");
  const seen = new Set([await fingerprint(folder)]);
  const sees = async (what: string, change: () => void, different: boolean) => {
    const before = seen.size;
    change();
    seen.add(await fingerprint(folder));
    assert.equal(seen.size > before, different, what);
  };
  await sees("the same text written again", () => writeFileSync(path("index.ts"), "1"), false);
  await sees("a hidden file", () => writeFileSync(path(".index.ts.swp"), "x"), false);
  await sees("an installed package", () => writeFileSync(path("node_modules/x.js"), "x"), false);
  await sees("another text", () => writeFileSync(path("inner/a.ts"), "3"), true);
  await sees("another name", () => renameSync(path("inner/a.ts"), path("inner/b.ts")), true);
  await sees("another file", () => writeFileSync(path("model.bin"), "x"), true);
  await sees("a large file", () => truncateSync(path("model.bin"), 2 ** 21), true);
  await sees("a larger file", () => truncateSync(path("model.bin"), 2 ** 22), true);
  await sees("a file less", () => rmSync(path("inner/b.ts")), true);
});
