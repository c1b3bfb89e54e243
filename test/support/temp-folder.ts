import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whoever has things undone at the end: a test, or a run of faults outside the test runner. */
export interface Owner {
  after(undo: () => unknown): void;
}

/** A folder of the test's own, without links in its path, gone when the test ends. */
export function tempFolder(t: Owner): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "millrace-test-")));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
