/** A short random mix of faults on each kind of pipeline, each by a fixed seed. `npm run faults` makes longer ones. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { runFaults } from "./fault-run.ts";
import type { FaultRunOptions } from "./options.ts";

const COMMON = { length: 20_000, rate: 500, disorder: 0 } as const;

const RUNS: readonly FaultRunOptions[] = [
  { ...COMMON, seed: 3, source: "kafka", sink: "kafka", pipeline: "window" },
  { ...COMMON, seed: 2, source: "jetstream", sink: "redis", pipeline: "relay" },
  { ...COMMON, seed: 4, source: "jetstream", sink: "jetstream", pipeline: "window" },
  { ...COMMON, seed: 5, source: "kafka", sink: "sql", pipeline: "relay", only: ["postgres"] },
];

for (const options of RUNS) {
  const { seed, source, sink, pipeline } = options;
  test(`${source} → ${pipeline} → ${sink}: nothing is lost under faults (seed ${seed})`, async (t) => {
    const { passed, faults, verdict, problems } = await runFaults(t, options);
    t.diagnostic(JSON.stringify(faults));
    t.diagnostic(JSON.stringify(verdict));
    assert.ok(passed, [...problems, ...(verdict?.examples ?? [])].join("\n"));
    assert.ok(Object.keys(faults).length >= 3, "several kinds of faults were made");
  });
}
