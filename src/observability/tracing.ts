import { type Attributes, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { AlwaysOnSampler, BatchSpanProcessor, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";

import { within } from "../clock.ts";
import type { Logger } from "../contracts.ts";
import { messageOf } from "../errors.ts";
import type { CallSpan, CallTracer, TracedCall, TracingSettings } from "../tracing.ts";
import { VERSION } from "../version.ts";
import { linksTo, MOST_LINKS } from "./trace-links.ts";

/** Names of attributes: there is no convention for models yet. */
const ATTRIBUTE = {
  model: "millrace.model.name",
  version: "millrace.model.version",
  kind: "millrace.model.kind",
  rows: "millrace.model.rows",
  calls: "millrace.model.joined_calls",
  error: "error.type",
} as const;

/** Places whose models are elsewhere. */
const REMOTE: ReadonlySet<string> = new Set(["http", "openInference"]);

/** Spans that wait to be sent: with all their links some 30 MB at the most. What comes beyond is not recorded. */
const MOST_WAITING = 1024;
/** Spans of one request: at most 2 MB. */
const MOST_SENT = 128;
/** How often they are sent. Milliseconds. */
const EVERY = 1000;
/** How long one request may take. Milliseconds. */
const TIMEOUT = 10_000;
/** How long the last spans are waited for. Milliseconds. */
const LAST_WORDS = 1000;

/** Tracing that is on. */
export interface Tracing extends AsyncDisposable {
  readonly tracer: CallTracer;
}

export interface TracingSurroundings {
  readonly logger: Logger;
  /** Tells the processes of a service apart. */
  readonly instance: string;
  /** Chance, from 0 to 1; default Math.random. */
  readonly random?: () => number;
}

/**
 * Records calls of models as spans and sends them to a collector, as OTLP over HTTP. A collector that is away costs spans and nothing
 * else. Disposing of it sends what waits, for a second at most.
 */
export function openTracing(settings: TracingSettings, { logger, instance, random = Math.random }: TracingSurroundings): Tracing {
  const own = resourceFromAttributes({ "service.name": "millrace", "service.version": VERSION, "service.instance.id": instance });
  const resource = defaultResource()
    .merge(own)
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new TracerProvider({
    resource,
    // Whether a call is recorded is decided before it costs anything.
    sampler: new AlwaysOnSampler(),
    spanLimits: { linkCountLimit: MOST_LINKS },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new ToldExporter(new OTLPTraceExporter({ url: tracesUrl(settings.endpoint), timeoutMillis: TIMEOUT }), logger),
        maxQueueSize: MOST_WAITING,
        maxExportBatchSize: MOST_SENT,
        scheduledDelayMillis: EVERY,
        exportTimeoutMillis: TIMEOUT + EVERY,
      }),
    ],
  });
  return {
    tracer: new SamplingTracer(provider.getTracer("millrace", VERSION), settings.sample, random),
    async [Symbol.asyncDispose]() {
      await within(
        provider.shutdown().catch(() => undefined),
        LAST_WORDS,
      );
    },
  };
}

/** `http://collector:4318` → `http://collector:4318/v1/traces`, as OpenTelemetry has it for a base address. */
function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith("/v1/traces")) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  return url.href;
}

class SamplingTracer implements CallTracer {
  readonly #tracer: Tracer;
  readonly #sample: number;
  readonly #random: () => number;

  constructor(tracer: Tracer, sample: number, random: () => number) {
    this.#tracer = tracer;
    this.#sample = sample;
    this.#random = random;
  }

  begin({ model, kind, rows, call }: TracedCall): CallSpan | undefined {
    if (this.#random() >= this.#sample) return undefined;
    const attributes: Attributes = {
      [ATTRIBUTE.model]: model.name,
      [ATTRIBUTE.version]: model.version,
      [ATTRIBUTE.kind]: kind,
      [ATTRIBUTE.rows]: rows,
      [ATTRIBUTE.calls]: call.joined ?? 1,
    };
    const options = { kind: REMOTE.has(kind) ? SpanKind.CLIENT : SpanKind.INTERNAL, attributes, links: linksTo(call.events), root: true };
    return new RecordedCall(this.#tracer.startSpan(`predict ${model.name}`, options, ROOT_CONTEXT));
  }
}

class RecordedCall implements CallSpan {
  readonly #span: Span;

  constructor(span: Span) {
    this.#span = span;
  }

  end(failure?: string): void {
    // The class alone: a message may hold what an event held.
    if (failure !== undefined) this.#span.setAttribute(ATTRIBUTE.error, failure).setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end();
  }
}

/** Tells once when spans can't be sent, and once when they can again. */
class ToldExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #logger: Logger;
  #failing = false;

  constructor(exporter: SpanExporter, logger: Logger) {
    this.#exporter = exporter;
    this.#logger = logger;
  }

  export(...[spans, told]: Parameters<SpanExporter["export"]>): void {
    this.#exporter.export(spans, (result) => {
      this.#tell(result.error);
      told(result);
    });
  }

  #tell(error: Error | undefined): void {
    if (error !== undefined && !this.#failing)
      this.#logger.warn({}, `spans can't be sent, and those that are too many meanwhile are lost: ${messageOf(error)}`);
    if (error === undefined && this.#failing) this.#logger.info({}, "spans are sent again");
    this.#failing = error !== undefined;
  }

  async shutdown(): Promise<void> {
    await this.#exporter.shutdown();
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.();
  }
}
