/** The tests of the tests: Millrace broken on purpose is found out by the same run that a sound one passes. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { BREAKAGES, brokenBuild } from "./broken-build.ts";
import type { Verdict } from "./checker.ts";
import { runFaults } from "./fault-run.ts";
import type { FaultRunOptions } from "./options.ts";
import type { Planned } from "./schedule.ts";

const COMMON = { seed: 1, length: 0, rate: 1000, disorder: 0, patience: 60_000 } as const;
const RELAY: FaultRunOptions = { ...COMMON, source: "kafka", sink: "redis", pipeline: "relay" };
const WINDOWS: FaultRunOptions = { ...COMMON, source: "kafka", sink: "redis", pipeline: "window" };

const KILLED_BEFORE_WRITE: Planned = { fault: "kill all workers while redis is frozen", after: 1500, lasts: 2500, choice: 0 };
const KILLED: Planned = { fault: "kill all workers", after: 3000, lasts: 0, choice: 0 };
const REDIS_KILLED: Planned = { fault: "kill redis", after: 1500, lasts: 2500, choice: 0 };

/** Where each breakage shows, and the faults that bring it to light. */
const RUNS: Readonly<
  Record<keyof typeof BREAKAGES, readonly [options: FaultRunOptions, plan: readonly Planned[], figure: "lost" | "windowErrors"]>
> = {
  "a position is committed before its batch is written": [RELAY, [KILLED_BEFORE_WRITE], "lost"],
  "one of 1,000 events is dropped": [RELAY, [KILLED], "lost"],
  "the error of a sink that is away is swallowed": [RELAY, [REDIS_KILLED], "lost"],
  "a window step gives positions that it still needs": [WINDOWS, [KILLED], "windowErrors"],
};

for (const [name, [options, plan, figure]] of Object.entries(RUNS)) {
  test(`is found out: ${name}`, async (t) => {
    const main = brokenBuild(t, [BREAKAGES[name as keyof typeof BREAKAGES]]);
    const { verdict, problems } = await runFaults(t, { ...options, main }, { plan });
    t.diagnostic(JSON.stringify(verdict));
    assert.deepEqual(problems, []);
    assert.equal(verdict?.passed, false);
    assert.ok(found(verdict, figure) > 0, `${figure}: ${found(verdict, figure)}`);
  });
}

test("a sound build passes the same faults", async (t) => {
  const { passed, verdict, problems } = await runFaults(t, RELAY, { plan: [KILLED_BEFORE_WRITE, REDIS_KILLED, KILLED] });
  t.diagnostic(JSON.stringify(verdict));
  assert.ok(passed, [...problems, ...(verdict?.examples ?? [])].join("\n"));
});

function found(verdict: Verdict, figure: "lost" | "windowErrors"): number {
  return verdict[figure];
}
