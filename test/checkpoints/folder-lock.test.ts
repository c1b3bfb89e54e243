import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { lockFolder } from "../../src/checkpoints/folder-lock.ts";
import { ConfigError, InfrastructureError } from "../../src/errors.ts";
import { openStoreAt } from "../support/checkpoint-places.ts";
import { asNobody } from "../support/nobody.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";

const MODULE = new URL("../../src/checkpoints/folder-lock.ts", import.meta.url).href;

/** A process that holds the lock of a folder. */
async function holder(t: TestContext, folder: string): Promise<{ readonly pid: number; kill(): Promise<void> }> {
  const program = `
    const { lockFolder } = await import(${JSON.stringify(MODULE)});
    globalThis.lock = await lockFolder(${JSON.stringify(folder)});
    console.log("locked");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  t.after(kill);
  await once(child.stdout, "data");
  return { pid: child.pid ?? 0, kill };
}

test("a folder is locked for one of two processes, until that one is killed", async (t) => {
  const folder = join(tempFolder(t), "deep", "checkpoints");
  const first = await holder(t, folder);
  await assert.rejects(lockFolder(folder), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.faults[0]?.where, folder);
    assert.match(error.message, new RegExp(`is used by the supervisor with process id ${first.pid}: `));
    return true;
  });
  await first.kill();
  // The kernel frees it when the process is gone for good.
  const lock = await until("the lock is free", () => lockFolder(folder), { timeout: 5000 });
  await lock[Symbol.asyncDispose]();
  await (await holder(t, folder)).kill();
});

test("a folder is locked once within a process, and free when it is given back", async (t) => {
  const folder = tempFolder(t);
  const lock = await lockFolder(folder);
  await assert.rejects(lockFolder(folder), ConfigError);
  await assert.rejects(lockFolder(folder), new RegExp(String(process.pid)));
  await lock[Symbol.asyncDispose]();
  await lock[Symbol.asyncDispose]();
  await (await lockFolder(folder))[Symbol.asyncDispose]();
});

test("who holds it is not known when the file that says so is gone", async (t) => {
  const folder = tempFolder(t);
  await using _lock = await lockFolder(folder);
  writeFileSync(join(folder, "=-lock-holder"), "");
  await assert.rejects(lockFolder(folder), /is used by another supervisor: /);
});

test("the lock is no checkpoint", async (t) => {
  const path = tempFolder(t);
  await using _lock = await lockFolder(path);
  const { store } = await openStoreAt(t, { file: { path } });
  assert.deepEqual(await store.list(undefined, t.signal), []);
});

test("a folder that can't be written is an infrastructure error", async (t) => {
  // Belongs to root, without rights for others.
  const folder = tempFolder(t);
  if (process.geteuid?.() !== 0) return t.skip("needs root to make a folder that another user can't write");
  await asNobody(() => assert.rejects(lockFolder(join(folder, "mine")), InfrastructureError));
});
