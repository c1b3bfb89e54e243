import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { millrace } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { BREAKAGES, brokenBuild } from "./broken-build.ts";

for (const [name, breakage] of Object.entries(BREAKAGES)) {
  test(`a build where ${name} can be made, and starts`, async (t) => {
    const main = brokenBuild(t, [breakage]);
    assert.ok(readFileSync(join(main, "..", breakage.file), "utf8").includes(breakage.to));
    const { code, stdout, stderr } = await millrace(["config", "--help"], { cwd: tempFolder(t), main });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /config/);
  });
}

test("a change that does not fit the source is refused", (t) => {
  assert.throws(() => brokenBuild(t, [{ file: "batch.ts", from: "no such text", to: "" }]), /stands 0 times in src\/batch\.ts/);
  assert.throws(() => brokenBuild(t, [{ file: "batch.ts", from: "export interface", to: "" }]), /times in src\/batch\.ts, not once/);
});
