/**
 * The daemon's settings as the rest of the program sees them: checked, with defaults filled in, times in milliseconds,
 * sizes in bytes, paths absolute, files read. Plain data, so that it can be sent to a worker. It holds secrets: never log it.
 *
 * Names, defaults, limits and descriptions are in schema.ts; `loadSettings` of load.ts makes it.
 */
import type { CheckpointSettings } from "../checkpoint-settings.ts";
import type { Connections } from "../connections.ts";
import type { Fault } from "../errors.ts";
import type { ModelSettings } from "../model-stats.ts";
import type { TracingSettings } from "../tracing.ts";

export interface Settings extends Connections {
  /** The settings file that was read, absolute; undefined when there was none. */
  readonly file: string | undefined;
  /** What relative paths in tasks count from: the settings file's folder, else the current directory. Absolute. */
  readonly directory: string;
  /** Absolute folders; each folder in one of them that has an `index.ts` or `index.js` is a product. */
  readonly products: readonly string[];
  readonly tasks: readonly TaskStoreSettings[];
  /** Worker processes, at least 1. */
  readonly workers: number;
  readonly worker: WorkerSettings;
  readonly models: ModelSettings;
  readonly restart: BackOffSettings;
  readonly quarantine: QuarantineSettings;
  readonly admin: AdminSettings;
  readonly checkpoint: CheckpointSettings;
  readonly shutdown: ShutdownSettings;
  readonly log: LogSettings;
  /** Undefined: tracing is off. */
  readonly tracing: TracingSettings | undefined;
}

/** Where tasks are kept. */
export type TaskStoreSettings =
  /** An absolute folder of YAML or JSON files. */
  | { readonly files: string }
  /** A Redis hash: field = task id, value = the task as JSON. Read again every `every` ms. */
  | { readonly redis: { readonly url: string; readonly key: string; readonly every: number } }
  /** A query whose rows are tasks, on `postgres://…` or `sqlite:PATH` (the path absolute). Asked again every `every` ms. */
  | { readonly sql: { readonly url: string; readonly query: string; readonly every: number } };

export interface WorkerSettings {
  /** A worker whose event loop gave no sign of life for so long is replaced. Milliseconds. */
  readonly heartbeat: number;
  /** A worker that is not ready so long after it was started is replaced. Milliseconds. */
  readonly startTimeout: number;
  /** A worker whose resident memory passes this is replaced. Bytes; undefined: no limit. */
  readonly rssLimit: number | undefined;
}

/** The wait before what failed is started again: `min` at first, doubling up to `max`. */
export interface BackOffSettings {
  /** Milliseconds. */
  readonly min: number;
  /** Milliseconds, at least `min`. */
  readonly max: number;
  /** What ran for so long without failing starts again at `min`. Milliseconds. */
  readonly resetAfter: number;
}

/** For a task that makes its worker die again and again. */
export interface QuarantineSettings {
  /** Deaths of its worker, with the task alone in it, until the task is quarantined. */
  readonly after: number;
  /** The first time in quarantine, doubling up to `max`. Milliseconds. */
  readonly min: number;
  /** Milliseconds, at least `min`. */
  readonly max: number;
}

export interface AdminSettings {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface ShutdownSettings {
  /** How long a drain may take. Milliseconds. */
  readonly timeout: number;
}

export interface LogSettings {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** `auto`: for people when the output is a terminal, else JSON lines. */
  readonly format: "auto" | "json" | "pretty";
}

/** From where a setting has its value. */
export type Origin =
  | { readonly from: "default" }
  | { readonly from: "file"; readonly file: string; readonly line: number }
  | { readonly from: "env"; readonly name: string }
  | { readonly from: "set" };

/** One setting as `millrace config` shows it. */
export interface SettingEntry {
  /** `kafka.brokers`. */
  readonly path: string;
  /** The effective value as it would be written in a settings file, with `[secret]` in the place of secrets. */
  readonly shown: unknown;
  readonly origin: Origin;
}

export interface LoadedSettings {
  readonly settings: Settings;
  readonly entries: readonly SettingEntry[];
  /** Texts that must never be shown: passwords, and what `${env:…}` and `${file:…}` stood for. */
  readonly secrets: readonly string[];
  /** What is allowed but likely not meant. */
  readonly warnings: readonly Fault[];
}

/** The origin in words: `default`, `config/millrace.yaml:3`, `MILLRACE_WORKERS`, `--set`. */
export function originText(origin: Origin): string {
  switch (origin.from) {
    case "default":
      return "default";
    case "file":
      return `${origin.file}:${origin.line}`;
    case "env":
      return origin.name;
    case "set":
      return "--set";
  }
}
