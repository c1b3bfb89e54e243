import type { Meter, ObservableResult } from "@opentelemetry/api";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";

import type { Counters } from "../contracts.ts";
import { LATENCY_BOUNDS } from "../pipeline/latency.ts";
import { type Histogram, histogramProducer } from "./histograms.ts";
import { type ModelFigures, modelHistograms, observeModels } from "./model-metrics.ts";

/** What is known of a task when metrics are asked for. The first six never fall. */
export interface TaskFigures extends Readonly<Counters> {
  readonly task: string;
  readonly product: string;
  readonly state: string;
  /** Undefined if unknown. */
  readonly lag: number | undefined;
  readonly restarts: number;
  /** Events in each bucket alone, by LATENCY_BOUNDS, and the sum in milliseconds. */
  readonly latency: { readonly counts: readonly number[]; readonly sum: number } | undefined;
}

export interface WorkerFigures {
  readonly worker: number;
  /** Bytes. */
  readonly rss: number;
  /** Milliseconds. */
  readonly loopLag: number;
}

/** Where the figures come from. */
export interface Figures {
  tasks(): readonly TaskFigures[];
  models(): readonly ModelFigures[];
  workers(): readonly WorkerFigures[];
  /** Workers started to take the place of another since the supervisor started. */
  workerRestarts(): number;
}

/** Series per metric before OpenTelemetry folds the rest into one; its default of 2,000 is less than we promise tasks for. */
const MOST_SERIES = 100_000;

/** Reads when asked; nothing is pushed. */
class ScrapeReader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

/**
 * Prometheus text of the figures. They are counted as plain numbers in the workers and read only when somebody asks: a
 * counter of OpenTelemetry costs more for each event than a step does.
 * @returns a function that collects and gives the text
 */
export function openMetrics(figures: Figures): () => Promise<string> {
  const histograms = histogramProducer(() => [latencyOf(figures.tasks()), ...modelHistograms(figures.models())]);
  const reader = new ScrapeReader({ metricProducers: [histograms], cardinalitySelector: () => MOST_SERIES });
  const provider = new MeterProvider({ readers: [reader] });
  const meter = provider.getMeter("millrace");
  observeTasks(meter, figures);
  observeModels(meter, () => figures.models());
  observeWorkers(meter, figures);
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  return async () => {
    const { resourceMetrics } = await reader.collect();
    // The serializer's package brings a copy of these types of its own.
    // oxlint-disable-next-line typescript/no-unsafe-enum-assignment
    return `${serializer.serialize(resourceMetrics)}\n`;
  };
}

type Observe = (result: ObservableResult, figures: TaskFigures, labels: { task: string; product: string }) => void;

function observeTasks(meter: Meter, figures: Figures): void {
  const each = (observe: Observe) => (result: ObservableResult) => {
    for (const task of figures.tasks()) observe(result, task, { task: task.task, product: task.product });
  };
  const counter = (name: string, description: string, count: (task: TaskFigures) => number) =>
    meter.createObservableCounter(name, { description }).addCallback(each((result, task, labels) => result.observe(count(task), labels)));
  counter("millrace_events_in_total", "Events that the source gave", (task) => task.in);
  counter("millrace_events_out_total", "Events that all sinks confirmed", (task) => task.out);
  counter("millrace_events_filtered_total", "Events that a filter dropped", (task) => task.filtered);
  counter("millrace_events_deduplicated_total", "Events whose id was seen before", (task) => task.deduplicated);
  counter("millrace_events_late_total", "Events that came after all their windows were closed", (task) => task.late);
  counter("millrace_events_failed_total", "Events that were refused with a data error", (task) => task.failed);
  counter("millrace_events_dead_lettered_total", "Events that were left out as dead letters", (task) => task.deadLettered);
  counter("millrace_events_skipped_total", "Events that failed and were left out", (task) => task.skipped);
  counter("millrace_calls_retried_total", "Extra attempts of infer and mapAsync", (task) => task.retried);
  observeCompanions(each, meter);
  counter("millrace_task_restarts_total", "Times that an instance of the task was started again after a failure", (task) => task.restarts);
  meter
    .createObservableGauge("millrace_in_flight", { description: "Calls and writes under way" })
    .addCallback(each((result, task, labels) => result.observe(task.inFlight, labels)));
  meter
    .createObservableGauge("millrace_lag_events", { description: "Events that wait in the broker" })
    .addCallback(each((result, { lag }, labels) => void (lag === undefined || result.observe(lag, labels))));
  meter
    .createObservableGauge("millrace_task_state", { description: "1 for the state that the task is in" })
    .addCallback(each((result, { state }, labels) => result.observe(1, { ...labels, state })));
}

/** What is asked besides models, where a task asks something. */
function observeCompanions(each: (observe: Observe) => (result: ObservableResult) => void, meter: Meter): void {
  const counter = (name: string, description: string, count: (task: TaskFigures) => number) =>
    meter.createObservableCounter(name, { description }).addCallback(
      each((result, task, labels) => {
        if (count(task) > 0) result.observe(count(task), labels);
      }),
    );
  counter("millrace_shadow_answered_total", "Rows that a shadow answered", (task) => task.shadowed);
  counter("millrace_shadow_differing_total", "Rows that a shadow answered otherwise than the first model", (task) => task.shadowDiffering);
  counter("millrace_shadow_failed_total", "Rows that a shadow could not do", (task) => task.shadowFailed);
  counter("millrace_shadow_dropped_total", "Rows that a shadow or its sink did not keep up with", (task) => task.shadowDropped);
  counter("millrace_canary_answered_total", "Rows that a canary answered", (task) => task.canaried);
  counter("millrace_canary_failed_total", "Rows that a canary failed and the first model was asked for", (task) => task.canaryFailed);
  counter("millrace_fallback_answered_total", "Rows that a fallback answered", (task) => task.fellBack);
}

function observeWorkers(meter: Meter, figures: Figures): void {
  meter
    .createObservableGauge("millrace_worker_rss_bytes", { description: "Resident memory of the worker", unit: "By" })
    .addCallback((result) => {
      for (const { worker, rss } of figures.workers()) result.observe(rss, { worker });
    });
  meter
    .createObservableGauge("millrace_worker_event_loop_lag_seconds", {
      description: "How late the worker's event loop was at most in the last second",
      unit: "s",
    })
    .addCallback((result) => {
      for (const { worker, loopLag } of figures.workers()) result.observe(loopLag / 1000, { worker });
    });
  meter
    .createObservableCounter("millrace_worker_restarts_total", { description: "Workers that took the place of another" })
    .addCallback((result) => result.observe(figures.workerRestarts()));
}

function latencyOf(tasks: readonly TaskFigures[]): Histogram {
  return {
    name: "millrace_latency_seconds",
    description: "Time from reading an event until all sinks had confirmed it",
    unit: "s",
    bounds: LATENCY_BOUNDS.map((ms) => ms / 1000),
    series: tasks.flatMap(({ task, product, latency }) =>
      latency === undefined ? [] : [{ labels: { task, product }, counts: latency.counts, sum: latency.sum / 1000 }],
    ),
  };
}
