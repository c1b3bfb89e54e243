import type { TestContext } from "node:test";

import type { Event, Position } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import type { Clock } from "../../src/clock.ts";
import { systemClock } from "../../src/clock.ts";
import type { Connections } from "../../src/connections.ts";
import type { Logger, OpenContext } from "../../src/contracts.ts";
import { openSharedResources } from "../../src/shared-resources.ts";

/** What `openContext` can be told. */
export interface OpenContextOptions {
  readonly directory?: string;
  readonly clock?: Clock;
  readonly instance?: number;
  readonly kafka?: string;
  readonly nats?: string;
  readonly redis?: string;
}

/** A context to open sources and sinks with, and what they said to it. */
export interface RecordedContext extends OpenContext {
  /** What `waiting` was called with. */
  readonly reasons: readonly (string | undefined)[];
  /** Log lines as `level message {fields}`. */
  readonly lines: readonly string[];
}

/** A context of an instance of a task `test`. Its signal aborts when the test ends. */
export function openContext(t: TestContext, options: OpenContextOptions = {}): RecordedContext {
  const reasons: (string | undefined)[] = [];
  const lines: string[] = [];
  const end = new AbortController();
  t.after(() => end.abort());
  return {
    task: { id: "test", product: "test", instance: options.instance ?? 0, instances: 2 },
    connections: connections(options),
    shared: openSharedResources(),
    logger: recordingLogger(lines),
    clock: options.clock ?? systemClock,
    directory: options.directory,
    signal: end.signal,
    mode: "run",
    waiting: (reason) => reasons.push(reason),
    reasons,
    lines,
  };
}

function connections({ kafka = "", nats = "", redis = "" }: OpenContextOptions): Connections {
  return {
    kafka: { brokers: kafka.split(","), client: "platformatic", ssl: false, sasl: undefined },
    nats: { servers: [nats], credentials: undefined },
    redis: { url: redis },
  };
}

function recordingLogger(lines: string[]): Logger {
  const log = (level: string) => (fields: object, message: string) => void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const logger: Logger = {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    child: () => logger,
  };
  return logger;
}

/** An event of partition `name` with a value, as a source would give it. */
export function eventOf(value: unknown, offset: Position, given: { readonly key?: string; readonly name?: string } = {}): Event {
  return {
    value,
    key: given.key,
    time: 1000 * offset,
    headers: undefined,
    origin: { system: "memory", name: given.name ?? "test", partition: undefined },
    offset,
    watermark: NO_WATERMARK,
    size: 0,
  };
}
