import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";

const START = fileURLToPath(new URL("../../bin/millrace.js", import.meta.url));

test("under an old Node the installed millrace says so in one line and exits 1", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "old.cjs": 'Object.defineProperty(process, "versions", { value: { node: "18.20.4" } });' });
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(process.execPath, ["--require", join(cwd, "old.cjs"), START, "--version"], (error, _, stderr) =>
      resolve({ code: error?.code, stderr }),
    );
  });
  assert.equal(code, 1);
  assert.match(stderr, /^millrace needs Node 24 or later, but this is Node 18\.20\.4 \(.*\)\n$/);
});

test("and an old Node can read that file", () => {
  const text = readFileSync(START, "utf8").replaceAll(/\/\/.*$/gm, "");
  assert.doesNotMatch(text, /\b(?:const|let|import|export|class|async|await)\b|=>|`|\?\.|\?\?|\.\.\./);
});
