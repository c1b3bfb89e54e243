import type { Worker } from "./model.ts";

/** How a process ended, as Node says it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not even be started. */
  readonly refused?: string;
}

/** Why a worker died, as far as can be told. */
export interface Cause {
  /** For people. */
  readonly what: string;
  /** The task whose code was being executed. */
  readonly blamed: string | undefined;
  /** It looks as if somebody outside ended it: no task is to blame, unless that happens again and again. */
  readonly external: boolean;
}

/** Signals that come from people and service managers, or from the kernel when memory runs out. */
const FROM_OUTSIDE: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]);

/** A worker that was so near its limit when it was killed may have been killed for its memory. */
const NEAR_LIMIT = 0.8;

/** Says why a worker ended that was not told to. */
export function causeOf(worker: Worker, exit: Exit, rssLimit: number | undefined): Cause {
  const { words } = worker;
  if (exit.refused !== undefined) return { what: `it could not be started: ${exit.refused}`, blamed: undefined, external: true };
  const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
  if (words !== undefined && words.why !== "blocked" && words.why !== "memory") {
    return { what: `${how}: ${words.what}`, blamed: words.task, external: false };
  }
  const large = rssLimit !== undefined && worker.rss > NEAR_LIMIT * rssLimit;
  const memory = large || exit.signal === "SIGABRT" ? ` with ${mebibytes(worker.rss)} in memory` : "";
  const external = exit.signal !== null && FROM_OUTSIDE.has(exit.signal) && !large;
  return { what: `${how}${memory}${external ? ", as if from outside" : ""}`, blamed: undefined, external };
}

export function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}

/** Whether a worker's event loop counts as hanging. */
export interface Silence {
  /** Milliseconds since it was last heard of. */
  readonly silent: number;
  /** Milliseconds of these in which it could not run because no processor was free. */
  readonly starved: number;
  /** The limit. Milliseconds. */
  readonly heartbeat: number;
}

/** However starved a worker was: after so many times the limit it is replaced. */
const HOPELESS = 3;

/** Time spent waiting for a processor is no hang, up to a point. */
export function hangs({ silent, starved, heartbeat }: Silence): boolean {
  return silent - starved >= heartbeat || silent >= HOPELESS * heartbeat;
}
