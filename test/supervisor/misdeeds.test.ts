import assert from "node:assert/strict";
import { test } from "node:test";

import { until } from "../support/until.ts";
import { Daemon } from "./daemon.ts";

test("each kind of broken task is named with its reason, and the others run on", async (t) => {
  const good = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`good-${index}`, {}]));
  const bad = { does: "nothing", at: 3, every: 20 };
  const daemon = new Daemon(t, {
    tasks: {
      ...good,
      config: undefined,
      throws: { ...bad, does: "throw" },
      missing: { ...bad, does: "missing" },
      away: { ...bad, does: "away" },
      waits: { ...bad, does: "waits" },
      loops: { ...bad, does: "loop" },
      exits: { ...bad, does: "exit" },
      aborts: { ...bad, does: "abort" },
      kills: { ...bad, does: "kill" },
      shoots: { ...bad, does: "shoot" },
      disconnects: { ...bad, does: "disconnect" },
      rejects: { ...bad, does: "reject" },
      timer: { ...bad, does: "timer" },
      talks: { ...bad, does: "talk" },
      leaks: { ...bad, does: "leak" },
    },
    settings: { worker: { heartbeat: 5000, startTimeout: 60_000, rssLimit: 500 * 1024 ** 2 } },
  });
  const reasons = new Map<string, [state: string, reason: RegExp]>([
    ["config", ["invalid", /config\.json.*every/]],
    ["throws", ["failed", /step "map" at count numbers\/0@3: no such number/]],
    ["missing", ["starting", /there is no topic numbers/]],
    ["away", ["backing-off", /the broker at redis:\/\/user:\[secret\]@host is away/]],
    ["waits", ["backing-off", /^the broker is away$/]],
    ["exits", ["quarantined", /exit code 3: process\.exit\(3\) was called at \/.*probe\/index\.ts:\d+/]],
    ["aborts", ["quarantined", /signal SIGABRT.*process\.abort\(\) was called at \/.*probe\/index\.ts:\d+/]],
    ["kills", ["quarantined", /SIGKILL.*process\.kill sent SIGKILL/]],
    ["shoots", ["quarantined", /it makes its worker die \(signal SIGKILL, as if from outside\)/]],
    ["disconnects", ["quarantined", /exit code 1: process\.disconnect\(\) was called at \/.*probe\/index\.ts:\d+/]],
    ["rejects", ["quarantined", /exit code 70: a rejected promise.*\[secret\] was rejected at \/.*probe\/index\.ts:\d+/]],
    ["timer", ["quarantined", /exit code 70: an exception.*no such number/]],
    ["loops", ["quarantined", /hang: no sign of life for 5 s, the event loop hangs at \/.*probe\/index\.ts:\d+/]],
    ["leaks", ["quarantined", /memory: the worker holds more than the limit of 500 MiB/]],
  ]);
  for (const [id, [state, reason]] of reasons) {
    // A task that waits out a back-off is placed now and then, and shown as starting meanwhile.
    await until(
      `${id} is ${state}`,
      async () => {
        const view = (await daemon.tasks()).get(id);
        return view?.state === state && reason.test(view.reason ?? "");
      },
      { timeout: 120_000, every: 200 },
    ).catch(async (error: unknown) => {
      throw new Error(`${JSON.stringify((await daemon.tasks()).get(id))}\n${daemon.output}`, { cause: error });
    });
  }
  for (const id of [...Object.keys(good), "talks"]) await daemon.state(id, "running");
  const notReady = (await (await daemon.get("/readyz")).json()) as { notReady: { what: string }[] };
  assert.deepEqual(notReady.notReady.map(({ what }) => what).toSorted(), ["task away", "task missing", "task waits"]);
  assert.doesNotMatch(daemon.output, /geheim|hunter22/);
  daemon.process.kill("SIGTERM");
  assert.deepEqual(await daemon.exited, { code: 0, signal: null }, daemon.output);
});
