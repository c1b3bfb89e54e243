import assert from "node:assert/strict";
import { test } from "node:test";

import { Daemon } from "./daemon.ts";

test("tasks with a finite input run to their end, and the run is done", async (t) => {
  const daemon = new Daemon(t, { tasks: { a: { count: 20 }, b: { count: 10 } }, until: "done" });
  assert.deepEqual(await daemon.exited, { code: 0, signal: null }, daemon.output);
  assert.deepEqual(daemon.results("a"), [...Array(20).keys()]);
  assert.deepEqual(daemon.results("b"), [...Array(10).keys()]);
  assert.match(daemon.output, /a finished after .* 20 events in, 20 out/);
});
