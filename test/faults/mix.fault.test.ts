/** A short random mix of faults on each kind of pipeline, each by a fixed seed. `npm run faults` makes longer ones. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { runFaults } from "./fault-run.ts";
import type { FaultRunOptions } from "./options.ts";

const COMMON = { length: 20_000, rate: 500 } as const;
/** Of what was read a second ago and is not yet done, for each of the faults that there is time for, with room for slow machines. */
const REPEATED_RECORDS = COMMON.rate * 3 * 8;
/** Each of 50 keys closes a window in two seconds and a half. */
const REPEATED_WINDOWS = 50 * 2 * 8;
const RELAY = { ...COMMON, pipeline: "relay", disorder: 0, mostRepeats: REPEATED_RECORDS } as const;
const WINDOW = { ...COMMON, pipeline: "window", disorder: 2000, late: 0.05, mostRepeats: REPEATED_WINDOWS } as const;

const RUNS: readonly FaultRunOptions[] = [
  { ...WINDOW, seed: 3, source: "kafka", sink: "kafka", store: "redis", letters: "kafka" },
  { ...RELAY, seed: 2, source: "jetstream", sink: "redis", letters: "jetstream" },
  { ...WINDOW, seed: 4, source: "jetstream", sink: "jetstream", store: "natsKv" },
  { ...WINDOW, seed: 6, source: "jetstream", sink: "redis", store: "file", letters: "file" },
  { ...RELAY, seed: 5, source: "kafka", sink: "sql", letters: "sql", only: ["postgres"] },
];

for (const options of RUNS) {
  const { seed, source, sink, pipeline, store = "none", letters = "none" } = options;
  test(`${source} → ${pipeline} → ${sink}: nothing is lost under faults (seed ${seed}, checkpoints: ${store}, letters: ${letters})`, async (t) => {
    const { passed, faults, verdict, problems } = await runFaults(t, options);
    t.diagnostic(JSON.stringify(faults));
    t.diagnostic(JSON.stringify(verdict));
    assert.ok(passed, [...problems, ...(verdict?.examples ?? [])].join("\n"));
    assert.ok(Object.keys(faults).length >= 3, "several kinds of faults were made");
  });
}
