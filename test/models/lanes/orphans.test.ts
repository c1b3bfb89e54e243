import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { isAlive, signalAll } from "../../support/processes.ts";
import { until } from "../../support/until.ts";

const HOLDER = fileURLToPath(new URL("./holder.ts", import.meta.url));

for (const state of ["idle", "loop"] as const) {
  test(`a model's process (${state}) ends with the worker that has it, also when that is killed`, async (t) => {
    const holder = spawn(process.execPath, [HOLDER, state], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(holder.stdout.setEncoding("utf8"), "data")) as [string];
    const child = Number(line);
    t.after(() => signalAll([holder.pid as number, child], "SIGKILL"));
    assert.ok(isAlive(child));
    // A ^C in a terminal reaches the whole group: it is for the worker to decide what ends when.
    signalAll([child], "SIGINT");
    signalAll([child], "SIGTERM");
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await until("it is gone", () => !isAlive(child), { timeout: 10_000 });
  });
}
