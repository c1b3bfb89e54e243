/** Faults that are to come in every run, each known to be made. `npm run faults` mixes them at random. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { runFaults } from "./fault-run.ts";
import type { FaultRunOptions } from "./options.ts";

const COMMON = { seed: 1, length: 0, rate: 500, source: "kafka", sink: "kafka" } as const;

const RUNS: Readonly<Record<string, readonly [options: FaultRunOptions, faults: Readonly<Record<string, number>>]>> = {
  "a bad network to Kafka": [
    // Silence outlasts the session: what was in flight in all partitions comes again.
    { ...COMMON, disorder: 0, pipeline: "relay" },
    {
      "silent connections to kafka": 8000,
      "a slow network to kafka": 4000,
      "a thin network to kafka": 4000,
      "connections to kafka cut after 200 KB": 3000,
      "a storm of resets to kafka": 3000,
    },
  ],
  "supervisors and workers come and go": [
    { ...COMMON, disorder: 2000, pipeline: "window", store: "redis", late: 0.05 },
    {
      "a second supervisor": 5000,
      // Longer than the session.
      "freeze a worker": 8000,
      "a member joins and leaves the group": 2000,
      "kill the supervisor": 500,
      "restart the supervisor": 500,
    },
  ],
};

for (const [name, [options, faults]] of Object.entries(RUNS)) {
  test(`nothing is lost: ${name}`, async (t) => {
    const plan = Object.entries(faults).map(([fault, lasts]) => ({ fault, after: 2000, lasts, choice: 0 }));
    const { passed, faults: made, verdict, problems } = await runFaults(t, options, { plan });
    t.diagnostic(JSON.stringify(verdict));
    assert.ok(passed, [...problems, ...(verdict?.examples ?? [])].join("\n"));
    assert.equal(Object.keys(made).length, plan.length);
  });
}
