import assert from "node:assert/strict";
import { test } from "node:test";

import { countCall, countEnd, countError, countQueued, noModelStats } from "../../src/model-stats.ts";
import { openMetrics, type TaskFigures } from "../../src/observability/metrics.ts";
import { noCounts } from "../../src/pipeline/counters.ts";
import { LATENCY_BOUNDS } from "../../src/pipeline/latency.ts";

function figures(task: string, more: Partial<TaskFigures> = {}): TaskFigures {
  return {
    task,
    product: "p",
    state: "running",
    ...noCounts(),
    in: 10,
    out: 7,
    filtered: 2,
    deduplicated: 11,
    late: 1,
    failed: 0,
    deadLettered: 8,
    skipped: 9,
    retried: 3,
    inFlight: 4,
    lag: 5,
    restarts: 6,
    latency: undefined,
    ...more,
  };
}

async function collect(...tasks: readonly TaskFigures[]): Promise<string> {
  const workers = [{ worker: 1, rss: 1000, loopLag: 20 }];
  return await openMetrics({ tasks: () => tasks, models: () => [], workers: () => workers, workerRestarts: () => 2 })();
}

test("every number of a task is a series with its task and product", async () => {
  const text = await collect(figures("a"), figures("b", { lag: undefined }));
  const expected: Record<string, number> = {
    millrace_events_in_total: 10,
    millrace_events_out_total: 7,
    millrace_events_filtered_total: 2,
    millrace_events_deduplicated_total: 11,
    millrace_events_late_total: 1,
    millrace_events_failed_total: 0,
    millrace_calls_retried_total: 3,
    millrace_task_restarts_total: 6,
    millrace_in_flight: 4,
    millrace_lag_events: 5,
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.match(text, new RegExp(`^${name}\\{task="a",product="p"\\} ${value}$`, "m"));
    assert.match(text, new RegExp(`^# TYPE ${name} ${name.endsWith("_total") ? "counter" : "gauge"}$`, "m"));
  }
  assert.doesNotMatch(text, /^millrace_lag_events\{task="b"/m);
  assert.doesNotMatch(text, /^millrace_(?:shadow|canary|fallback)/m);
  assert.match(text, /^millrace_task_state\{task="b",product="p",state="running"\} 1$/m);
  assert.match(text, /^millrace_worker_rss_bytes\{worker="1"\} 1000$/m);
  assert.match(text, /^millrace_worker_event_loop_lag_seconds\{worker="1"\} 0\.02$/m);
  assert.match(text, /^millrace_worker_restarts_total 2$/m);
});

test("what is asked besides models is a series where a task asks it", async () => {
  const companions = { shadowed: 1, shadowDiffering: 2, shadowFailed: 3, shadowDropped: 4, canaried: 5, canaryFailed: 6, fellBack: 7 };
  const text = await collect(figures("a", companions), figures("b"));
  assert.deepEqual(text.match(/^millrace_(?:shadow|canary|fallback)\S+ \d+$/gm), [
    'millrace_shadow_answered_total{task="a",product="p"} 1',
    'millrace_shadow_differing_total{task="a",product="p"} 2',
    'millrace_shadow_failed_total{task="a",product="p"} 3',
    'millrace_shadow_dropped_total{task="a",product="p"} 4',
    'millrace_canary_answered_total{task="a",product="p"} 5',
    'millrace_canary_failed_total{task="a",product="p"} 6',
    'millrace_fallback_answered_total{task="a",product="p"} 7',
  ]);
});

test("latency is a histogram in seconds with cumulated buckets", async () => {
  const counts = LATENCY_BOUNDS.map((_, index) => (index < 2 ? 5 : 0));
  const text = await collect(figures("a", { latency: { counts: [...counts, 1], sum: 70_000 } }));
  assert.match(text, /^# TYPE millrace_latency_seconds histogram$/m);
  assert.match(text, /^millrace_latency_seconds_count\{task="a",product="p"\} 11$/m);
  assert.match(text, /^millrace_latency_seconds_sum\{task="a",product="p"\} 70$/m);
  assert.match(text, /^millrace_latency_seconds_bucket\{task="a",product="p",le="0\.001"\} 5$/m);
  assert.match(text, /^millrace_latency_seconds_bucket\{task="a",product="p",le="60"\} 10$/m);
  assert.match(text, /^millrace_latency_seconds_bucket\{task="a",product="p",le="\+Inf"\} 11$/m);
});

test("thousands of tasks have a series each", async () => {
  const text = await collect(...Array.from({ length: 3000 }, (_, index) => figures(`t${index}`)));
  assert.equal(text.match(/^millrace_events_in_total\{/gm)?.length, 3000);
});

test("every number of a model is a series with its name, version and kind", async () => {
  const stats = noModelStats();
  countQueued(stats, 0.002);
  countCall(stats, 64);
  countEnd(stats, 0.3);
  countError(stats, "TypeError");
  countCall(stats, 3);
  stats.restarts = 2;
  const models = [{ name: "digits", version: "1", kind: "threads", stats, queued: 5, waiting: 1 }];
  const text = await openMetrics({ tasks: () => [], models: () => models, workers: () => [], workerRestarts: () => 0 })();
  const expected: Record<string, number> = {
    calls_total: 2,
    rows_total: 67,
    restarts_total: 2,
    in_flight: 1,
    queued_rows: 5,
    waiting: 1,
    batch_rows_count: 2,
    batch_rows_sum: 67,
    queue_seconds_sum: 0.002,
    predict_seconds_count: 1,
    predict_seconds_sum: 0.3,
  };
  for (const [name, value] of Object.entries(expected))
    assert.match(text, new RegExp(`^millrace_model_${name}\\{model="digits",version="1",kind="threads"\\} ${value}$`, "m"));
  assert.match(text, /^millrace_model_errors_total\{model="digits",version="1",kind="threads",error="TypeError"\} 1$/m);
  assert.match(text, /^millrace_model_batch_rows_bucket\{model="digits",version="1",kind="threads",le="4"\} 1$/m);
  assert.match(text, /^millrace_model_predict_seconds_bucket\{model="digits",version="1",kind="threads",le="0\.5"\} 1$/m);
});
