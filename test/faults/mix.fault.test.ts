/** A short random mix of faults on each kind of pipeline, each by a fixed seed. `npm run faults` makes longer ones. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { runFaults } from "./fault-run.ts";
import type { FaultRunOptions } from "./options.ts";

const COMMON = { length: 20_000, rate: 500 } as const;
const RELAY = { ...COMMON, pipeline: "relay", disorder: 0 } as const;
const WINDOW = { ...COMMON, pipeline: "window", disorder: 2000, late: 0.05 } as const;

/** What every run of all tests has; MILLRACE_TEST_FAULTS=all has the others as well. */
const USUAL: readonly FaultRunOptions[] = [
  { ...WINDOW, seed: 3, source: "kafka", sink: "kafka", store: "redis", letters: "kafka" },
  { ...WINDOW, seed: 6, source: "jetstream", sink: "redis", store: "file", letters: "file" },
];
const OTHERS: readonly FaultRunOptions[] = [
  { ...RELAY, seed: 2, source: "jetstream", sink: "redis", letters: "jetstream" },
  { ...WINDOW, seed: 4, source: "jetstream", sink: "jetstream", store: "natsKv" },
  { ...RELAY, seed: 5, source: "kafka", sink: "sql", letters: "sql", only: ["postgres"] },
];
const RUNS = process.env["MILLRACE_TEST_FAULTS"] === "all" ? [...USUAL, ...OTHERS] : USUAL;

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
