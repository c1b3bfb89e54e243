/** The tests of the tests: Millrace broken on purpose is found out by the same run that a sound one passes. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { BREAKAGES, brokenBuild } from "./broken-build.ts";
import { type FaultRunReport, runFaults } from "./fault-run.ts";
import type { FaultRunOptions } from "./options.ts";
import type { Planned } from "./schedule.ts";

const COMMON = { seed: 1, length: 0, rate: 1000, disorder: 0, patience: 120_000, sink: "redis" } as const;
const RELAY: FaultRunOptions = { ...COMMON, source: "kafka", pipeline: "relay" };
const SHARED: FaultRunOptions = { ...COMMON, source: "jetstream", pipeline: "relay" };
const HOLDING: FaultRunOptions = { ...COMMON, source: "jetstream", pipeline: "window", store: "none" };
const WINDOWS: FaultRunOptions = {
  ...COMMON,
  source: "jetstream",
  // What befalls the store is not to befall the sink.
  sink: "jetstream",
  pipeline: "window",
  store: "redis",
  disorder: 2000,
};
/** A watermark that is not there shows only where a late event is the first after a kill. */
const LATE: FaultRunOptions = { ...WINDOWS, late: 0.9 };

const KILLED_BEFORE_WRITE: Planned = { fault: "kill all workers while redis is down", after: 1500, lasts: 500, choice: 0 };
const KILLED: Planned = { fault: "kill all workers", after: 3000, lasts: 0, choice: 0 };
const REDIS_KILLED: Planned = { fault: "kill redis", after: 1500, lasts: 2500, choice: 0 };
const SLOW_STORE: Planned = { fault: "a slow network to redis", after: 1000, lasts: 4000, choice: 0 };
/** For longer than it takes until another has its partition; one of the two has it first. */
const FROZEN: readonly Planned[] = [0, 0.9].map((choice) => ({
  fault: "freeze a worker whose last words to redis come late",
  after: 2000,
  lasts: 6000,
  choice,
}));

/** Whether a run shows what it is to show. */
type Evidence = (report: FaultRunReport) => boolean;

const LOST: Evidence = ({ verdict }) => (verdict?.lost ?? 0) > 0;
const WRONG_WINDOWS: Evidence = ({ verdict }) => (verdict?.windowErrors ?? 0) > 0;
const SAVED_POSITION_FELL: Evidence = ({ problems }) => problems.some((text) => text.includes("what was saved went back"));
const COMMITTED_TOO_EARLY: Evidence = ({ problems }) => problems.some((text) => text.includes("is committed, and"));

/** Where each breakage shows, the faults that bring it to light, and how it shows. */
const RUNS: Readonly<Record<keyof typeof BREAKAGES, readonly [FaultRunOptions, readonly Planned[], Evidence]>> = {
  "a position is committed before its batch is written": [RELAY, [KILLED_BEFORE_WRITE], LOST],
  "one of 1,000 events is dropped": [SHARED, [KILLED], LOST],
  "the error of a sink that is away is swallowed": [SHARED, [REDIS_KILLED], LOST],
  "messages are acknowledged when they are received": [SHARED, [KILLED_BEFORE_WRITE], LOST],
  "a window step gives positions that it still needs": [HOLDING, [KILLED], WRONG_WINDOWS],
  "a save of a former owner of a checkpoint is taken": [WINDOWS, FROZEN, SAVED_POSITION_FELL],
  "the watermark is not restored from a checkpoint": [LATE, [KILLED, KILLED, KILLED, KILLED], WRONG_WINDOWS],
  "open windows are not restored from a checkpoint": [WINDOWS, [KILLED], WRONG_WINDOWS],
  "a position is committed before its checkpoint is saved": [WINDOWS, [SLOW_STORE], COMMITTED_TOO_EARLY],
};

for (const [name, [options, plan, shows]] of Object.entries(RUNS)) {
  test(`is found out: ${name}`, async (t) => {
    const main = brokenBuild(t, [BREAKAGES[name as keyof typeof BREAKAGES]]);
    const report = await runFaults(t, { ...options, main }, { plan });
    t.diagnostic(JSON.stringify({ ...report.verdict, problems: report.problems }));
    assert.equal(report.passed, false);
    assert.ok(shows(report), [...report.problems, ...(report.verdict?.examples ?? [])].join("\n"));
  });
}

const SOUND: Readonly<Record<string, readonly [FaultRunOptions, readonly Planned[]]>> = {
  "the same faults": [RELAY, [KILLED_BEFORE_WRITE, REDIS_KILLED, KILLED]],
  "the same faults with windows": [{ ...LATE, late: 0.5 }, [KILLED, SLOW_STORE, ...FROZEN, KILLED_BEFORE_WRITE]],
  "the same faults without checkpoints": [HOLDING, [KILLED]],
};

for (const [name, [options, plan]] of Object.entries(SOUND)) {
  test(`a sound build passes ${name}`, async (t) => {
    const { passed, verdict, problems } = await runFaults(t, options, { plan });
    t.diagnostic(JSON.stringify(verdict));
    assert.ok(passed, [...problems, ...(verdict?.examples ?? [])].join("\n"));
  });
}
