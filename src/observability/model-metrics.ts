import type { Meter, ObservableResult } from "@opentelemetry/api";

import type { ModelIdentity, ModelStats } from "../model-stats.ts";
import { ROW_BOUNDS, TIME_BOUNDS } from "../model-stats.ts";
import type { Histogram } from "./histograms.ts";

/** What is known of a version of a model, over all workers, when metrics are asked for. */
export interface ModelFigures extends ModelIdentity {
  /** How it is run: `worker`, `threads`, `http` … */
  readonly kind: string;
  readonly stats: ModelStats;
  /** Rows that wait for their turn. */
  queued: number;
  /** Copies that can't work now. */
  waiting: number;
}

type Labels = Readonly<Record<"model" | "version" | "kind", string>>;

/** @param figures asked for once for each metric */
export function observeModels(meter: Meter, figures: () => readonly ModelFigures[]): void {
  const each = (observe: (result: ObservableResult, model: ModelFigures, labels: Labels) => void) => (result: ObservableResult) => {
    for (const model of figures()) observe(result, model, labelsOf(model));
  };
  const counter = (name: string, description: string, count: (stats: ModelStats) => number) =>
    meter
      .createObservableCounter(name, { description })
      .addCallback(each((result, { stats }, labels) => result.observe(count(stats), labels)));
  const gauge = (name: string, description: string, value: (model: ModelFigures) => number) =>
    meter.createObservableGauge(name, { description }).addCallback(each((result, model, labels) => result.observe(value(model), labels)));
  counter("millrace_model_calls_total", "Calls of the model, of joined rows", ({ calls }) => calls);
  counter("millrace_model_rows_total", "Rows that the model was given", ({ rows }) => rows);
  counter("millrace_model_restarts_total", "Threads and processes of the model that were started again", ({ restarts }) => restarts);
  meter.createObservableCounter("millrace_model_errors_total", { description: "Failed calls of the model" }).addCallback(
    each((result, { stats }, labels) => {
      for (const [error, count] of stats.errors) result.observe(count, { ...labels, error });
    }),
  );
  gauge("millrace_model_in_flight", "Calls of the model whose answer is awaited", ({ stats }) => stats.inFlight);
  gauge("millrace_model_queued_rows", "Rows that wait for the model", ({ queued }) => queued);
  gauge("millrace_model_waiting", "Copies of the model that can't work now", ({ waiting }) => waiting);
}

export function modelHistograms(figures: readonly ModelFigures[]): readonly Histogram[] {
  const series = (counts: (stats: ModelStats) => readonly number[], sum: (stats: ModelStats) => number) =>
    figures.map((model) => ({ labels: labelsOf(model), counts: counts(model.stats), sum: sum(model.stats) }));
  return [
    {
      name: "millrace_model_batch_rows",
      description: "Rows of a call of the model",
      unit: "",
      bounds: ROW_BOUNDS,
      series: series(
        ({ batchSizes }) => batchSizes,
        ({ rows }) => rows,
      ),
    },
    {
      name: "millrace_model_queue_seconds",
      description: "Time that a call waited for its turn, and for others to join it",
      unit: "s",
      bounds: TIME_BOUNDS,
      series: series(
        ({ queueTimes }) => queueTimes,
        ({ queueSeconds }) => queueSeconds,
      ),
    },
    {
      name: "millrace_model_predict_seconds",
      description: "Time that the model took for a call, with the way to it and back",
      unit: "s",
      bounds: TIME_BOUNDS,
      series: series(
        ({ predictTimes }) => predictTimes,
        ({ predictSeconds }) => predictSeconds,
      ),
    },
  ];
}

function labelsOf({ name, version, kind }: ModelFigures): Labels {
  return { model: name, version, kind };
}
