/**
 * Every message between the supervisor and its workers. They travel over Node's IPC channel as structured clones, so they
 * are plain data. `begin` and `start` hold secrets: never log a message whole.
 */
import type { CheckpointSettings } from "../checkpoint-settings.ts";
import type { Connections } from "../connections.ts";
import type { Counters } from "../contracts.ts";
import type { ModelIdentity, ModelSettings, ModelStats } from "../model-stats.ts";
import type { LogOptions } from "../observability/logs.ts";
import type { TaskDefinition } from "../tasks/task.ts";
import type { TracingSettings } from "../tracing.ts";

/** Numbers one attempt to run an instance of a task. Never used twice by one supervisor, so late messages are told apart. */
export type RunId = number;

/** Numbers a worker process. Never used twice by one supervisor. */
export type WorkerId = number;

/** An instance that a worker is to run. */
export interface Assignment {
  readonly run: RunId;
  readonly task: TaskDefinition;
  /** From 0 to `task.instances` - 1. */
  readonly instance: number;
}

/** From the supervisor to a worker. */
export type ToWorker =
  /** The first message. The worker answers `ready`. */
  | {
      readonly type: "begin";
      /** For people. */
      readonly number: number;
      /** The supervisor's process id. */
      readonly supervisor: number;
      readonly connections: Connections;
      readonly checkpoint: CheckpointSettings;
      /** What becomes of saved state that does not fit its pipeline any more. */
      readonly misfit: "refuse" | "reset";
      readonly models: ModelSettings;
      /** Undefined: tracing is off. */
      readonly tracing: TracingSettings | undefined;
      /** What relative paths of files count from. */
      readonly directory: string;
      readonly log: LogOptions;
      /** Milliseconds without a turn of the event loop until the supervisor replaces the worker. */
      readonly heartbeat: number;
      /** Bytes; undefined: no limit. */
      readonly rssLimit: number | undefined;
    }
  | { readonly type: "start"; readonly assignments: readonly Assignment[] }
  /** Stop reading, finish what was read, commit, end. */
  | { readonly type: "stop"; readonly runs: readonly RunId[] }
  /** Load every copy of the models of that name anew. The worker answers `reloaded`. */
  | { readonly type: "reload-models"; readonly request: number; readonly name: string }
  /** Give up what is in flight. */
  | { readonly type: "abandon"; readonly runs: readonly RunId[] }
  /** End the process; whatever still runs is given up. */
  | { readonly type: "exit" };

/** From a worker to the supervisor. */
export type FromWorker =
  | { readonly type: "ready" }
  /** The plan was built; the source and sinks are being opened. */
  | { readonly type: "built"; readonly run: RunId; readonly finite: boolean }
  /** The source and sinks are open. */
  | { readonly type: "running"; readonly run: RunId }
  /** Why the instance can't work now; undefined when it can again. */
  | { readonly type: "waiting"; readonly run: RunId; readonly reason: string | undefined }
  /** The last message of a run. */
  | { readonly type: "ended"; readonly run: RunId; readonly end: RunEnd; readonly stats: RunStats | undefined }
  /** What came of `reload-models`: nothing where the worker has no model of that name. */
  | { readonly type: "reloaded"; readonly request: number; readonly outcomes: readonly ReloadOutcome[] }
  | WorkerReport;

/** How a run ended. */
export type RunEnd =
  | { readonly how: "finished" }
  | { readonly how: "stopped" }
  | {
      readonly how: "failed";
      /** `not-ready` and `infrastructure` are tried again, `unknown` a few times, `final` and `paused` (too many events failed) never by themselves. */
      readonly kind: "not-ready" | "infrastructure" | "unknown" | "final" | "paused";
      readonly reason: string;
    };

/** Sent once a second: the sign of life, and what has changed since the last one. */
export interface WorkerReport {
  readonly type: "report";
  /** Bytes. */
  readonly rss: number;
  /** The longest time that the event loop was late since the last report. Milliseconds. */
  readonly loopLag: number;
  /** Whether a debugger can be attached: a hang may then be a breakpoint. */
  readonly inspected: boolean;
  /** Of the runs whose numbers differ from those last reported. */
  readonly stats: readonly (readonly [run: RunId, stats: RunStats])[];
  /** Of the models whose numbers differ from those last reported. */
  readonly models: readonly ModelReport[];
}

/** One version of one copy of a model in a worker, and what was counted of it since it was loaded. */
export interface ModelReport extends ModelIdentity {
  /** Never used twice by one worker. */
  readonly id: number;
  /** How it is run: `worker`, `threads`, `http` … */
  readonly kind: string;
  /** `current`: what answers; `beside`: another that has calls; `gone`: it is no more, and nothing more is told of it. */
  readonly state: "current" | "beside" | "gone";
  /** Rows that wait for the copy. */
  readonly queued: number;
  /** Why it can't work now; undefined when it can. */
  readonly waits: string | undefined;
  /** Why a newer version could not be loaded; undefined when it could, or there is none. */
  readonly refusal: string | undefined;
  readonly stats: ModelStats;
}

/** What became of one copy of a model that was to be loaded anew. */
export type ReloadOutcome = { readonly kind: string; readonly before: string } & (
  | { readonly version: string }
  | { readonly error: string }
);

/** What one run has counted so far. */
export interface RunStats extends Readonly<Counters> {
  /** Events that wait in the broker; undefined if unknown. */
  readonly lag: number | undefined;
  readonly latency: LatencyStats;
}

/** As the LatencyHistogram of a run has it: events in each bucket alone, by LATENCY_BOUNDS, and the sum in milliseconds. */
export interface LatencyStats {
  readonly counts: readonly number[];
  readonly sum: number;
}

/**
 * What a worker writes to a pipe of its own, as a line of JSON, when its event loop can't be trusted any more: it is
 * dying or hangs. The kernel keeps it for the supervisor after the process is gone.
 */
export interface LastWords {
  /** `blocked`: the event loop hangs, and may go on later. The others are said right before the process ends. */
  readonly why: "exception" | "exit" | "signal" | "blocked" | "memory";
  /** The task whose code was being executed, if that is known. Its run may have ended: what it began, such as a timer, goes on. */
  readonly task: string | undefined;
  /** What happened, with the place in the product's code where it is known. */
  readonly what: string;
}
