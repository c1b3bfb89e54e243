import assert from "node:assert/strict";
import { test } from "node:test";

import { countCall, countEnd, countError, noModelStats } from "../../src/model-stats.ts";
import { ModelLedger, viewModels } from "../../src/supervisor/model-ledger.ts";
import type { Worker } from "../../src/supervisor/model.ts";
import type { ModelReport } from "../../src/worker/messages.ts";

function worker(number: number): Worker {
  return { number, pid: 100 + number, models: new Map() } as Partial<Worker> as Worker;
}

/** A report of so many calls of two rows, of which one is under way. */
function report(calls: number, more: Partial<ModelReport> = {}): ModelReport {
  const stats = noModelStats();
  for (let call = 0; call < calls; call++) countCall(stats, 2);
  for (let call = 1; call < calls; call++) countEnd(stats, 0.5);
  if (calls > 1) countError(stats, "TypeError");
  return {
    id: 1,
    kind: "threads",
    name: "digits",
    version: "1",
    state: "current",
    queued: 4,
    waits: undefined,
    refusal: undefined,
    stats,
    ...more,
  };
}

test("what the workers count of a version is one sum", () => {
  const [one, two, ledger] = [worker(1), worker(2), new ModelLedger()];
  ledger.hear(one, [report(3)]);
  ledger.hear(two, [report(2, { waits: "no thread is ready" }), report(1, { id: 2, version: "2" })]);
  ledger.hear(one, [report(5)]);
  const figures = ledger.figures([one, two]);
  assert.deepEqual(
    figures.map(({ version, stats, queued, waiting }) => [version, stats.calls, stats.rows, stats.inFlight, queued, waiting]),
    [
      ["1", 7, 14, 2, 8, 1],
      ["2", 1, 2, 1, 4, 0],
    ],
  );
  assert.deepEqual([...(figures[0]?.stats.errors ?? [])], [["TypeError", 2]]);
  assert.equal(
    figures[0]?.stats.predictTimes.reduce((sum, count) => sum + count),
    5,
  );
});

test("counts stay when a version or a worker is gone, and what was under way is no more", () => {
  const [one, two, ledger] = [worker(1), worker(2), new ModelLedger()];
  ledger.hear(one, [report(3), report(4, { id: 2, state: "gone" })]);
  ledger.hear(two, [report(2)]);
  ledger.forget(one);
  const calls = (workers: readonly Worker[]) => ledger.figures(workers).map(({ stats }) => [stats.calls, stats.inFlight]);
  assert.deepEqual(calls([two]), [[9, 1]]);
  assert.deepEqual(calls([two]), [[9, 1]], "asking changes nothing");
  assert.equal(one.models.size, 0);
});

test("numbers of versions that are gone are forgotten when there are too many of them, the oldest first", () => {
  const [one, ledger] = [worker(1), new ModelLedger()];
  for (let version = 1; version <= 1500; version++) ledger.hear(one, [report(1, { version: String(version), state: "gone" })]);
  const left = ledger.figures([one]).map(({ version }) => Number(version));
  assert.deepEqual([left.length, left[0], left.at(-1)], [1000, 501, 1500]);
});

test("models are shown by worker, with their numbers and why they can't work", () => {
  const [one, ledger] = [worker(1), new ModelLedger()];
  ledger.hear(one, [report(2, { waits: "no thread is ready", refusal: "2: no default export" })]);
  assert.deepEqual(viewModels([one]), [
    {
      name: "digits",
      kind: "threads",
      worker: 1,
      pid: 101,
      version: "1",
      state: "current",
      reason: "no thread is ready",
      refusal: "2: no default export",
      calls: 2,
      rows: 4,
      inFlight: 1,
      queued: 4,
      queueSeconds: 0,
      predictSeconds: 0.5,
      restarts: 0,
      errors: { TypeError: 1 },
    },
  ]);
});
