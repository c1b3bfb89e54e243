import { type Attributes, type HrTime, ValueType } from "@opentelemetry/api";
import { emptyResource } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  type CollectionResult,
  DataPointType,
  type HistogramMetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";

/** A histogram whose numbers were counted elsewhere. */
export interface Histogram {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  /** Upper bounds of the buckets; one more holds what is above. */
  readonly bounds: readonly number[];
  readonly series: readonly HistogramSeries[];
}

export interface HistogramSeries {
  readonly labels: Attributes;
  /** Those of each bucket alone. */
  readonly counts: readonly number[];
  /** In the histogram's unit. */
  readonly sum: number;
}

/** OpenTelemetry's API has no histogram that is read by a callback, so finished ones are handed to its reader. */
export function histogramProducer(histograms: () => readonly Histogram[]): MetricProducer {
  const startTime = hrTime();
  return {
    async collect(): Promise<CollectionResult> {
      const endTime = hrTime();
      const metrics = histograms().map(({ name, description, unit, bounds, series }): HistogramMetricData => ({
        descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
        aggregationTemporality: AggregationTemporality.CUMULATIVE,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: series.map(({ labels, counts, sum }) => {
          const count = counts.reduce((total, n) => total + n, 0);
          const value = { buckets: { boundaries: [...bounds], counts: [...counts] }, count, sum };
          return { startTime, endTime, attributes: labels, value };
        }),
      }));
      return { resourceMetrics: { resource: emptyResource(), scopeMetrics: [{ scope: { name: "millrace" }, metrics }] }, errors: [] };
    },
  };
}

function hrTime(): HrTime {
  const now = Date.now();
  return [Math.floor(now / 1000), (now % 1000) * 1e6];
}
