import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** A folder of the test's own, without links in its path, gone when the test ends. */
export function tempFolder(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "millrace-test-")));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
