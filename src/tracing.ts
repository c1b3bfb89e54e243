/**
 * What is recorded of the calls of models as spans of traces, where tracing is on. Whoever calls models knows this, and
 * nothing of how spans are kept and sent.
 */
import type { Event } from "./batch.ts";
import type { ModelIdentity } from "./model-stats.ts";

/** Where spans are sent to. May hold a password. */
export interface TracingSettings {
  /** An OpenTelemetry collector's address for OTLP over HTTP: `http://collector:4318`. */
  readonly endpoint: string;
  /** The share of a model's calls that are recorded, from 0 to 1. */
  readonly sample: number;
}

/** A call of a model that begins. */
export interface TracedCall {
  readonly model: ModelIdentity;
  /** How it is run: `worker`, `threads`, `http` … */
  readonly kind: string;
  readonly rows: number;
  /** Looked at only where the call is sampled. */
  readonly call: {
    /** The events of its rows: their trace contexts are linked to. */
    readonly events: readonly Event[];
    readonly joined?: number | undefined;
  };
}

/** Records calls of models. There is none where tracing is off. */
export interface CallTracer {
  /** Begins a span; undefined when this call is not among those that are sampled. */
  begin(call: TracedCall): CallSpan | undefined;
}

/** The span of one call. */
export interface CallSpan {
  /** Ends it. @param failure the class of the error that the call failed with; undefined when it was answered */
  end(failure?: string): void;
}
