import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/** What the simulation says of seeds; rejects with its output when a promise was broken. */
async function simulated(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args]).catch((error: unknown) => {
    throw new Error((error as { readonly stdout?: string }).stdout ?? String(error), { cause: error });
  });
  return stdout;
}

test("a seed gives the same run again", async () => {
  const args = ["--seed", "1", "--count", "60", "--jobs", "1"];
  const first = await simulated(...args);
  assert.match(first, /digest [0-9a-f]{8}/);
  assert.equal(await simulated(...args), first);
});

test("10,000 seeds: nothing is lost, windows are those of an undisturbed run, and every other promise is kept", async () => {
  const said = await simulated("--seed", "1", "--count", "10000");
  assert.match(said, /every promise was kept/);
});
