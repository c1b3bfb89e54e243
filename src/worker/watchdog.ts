import { readFileSync } from "node:fs";
import { url as inspectorUrl } from "node:inspector";
import { Worker } from "node:worker_threads";

/** What the watching thread is started with. */
export interface WatchdogOptions {
  /** The process without which this one must not live. */
  readonly supervisor: number;
  /** Milliseconds without a turn of the event loop until the supervisor replaces this process. */
  readonly heartbeat: number;
  /** Bytes; undefined: no limit. */
  readonly rssLimit: number | undefined;
}

export interface WatchdogData extends WatchdogOptions {
  readonly shared: Int32Array<SharedArrayBuffer>;
}

/** Places in the memory shared with the thread. */
export const TURNS = 0;
export const INSPECTED = 1;

/** How often the event loop shows that it turns: milliseconds, or this part of the heartbeat if that is less. */
const BEAT = 500;
const BEATS = 8;

/** Watches the event loop of this process, from within and from a thread of its own. */
export interface Watchdog {
  /** The longest time that the event loop was late since the last call. Milliseconds. */
  takeLag(): number;
  /** Whether a debugger can be attached to this process. */
  inspected(): boolean;
}

/**
 * Starts a thread that outlives a hang of the event loop: it ends the process when the supervisor is gone, and finds out
 * whose code hangs. (The IPC channel tells of a dead supervisor only as long as the event loop turns.)
 */
export function startWatchdog(options: WatchdogOptions): Watchdog {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const every = Math.min(BEAT, options.heartbeat / BEATS);
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const data: WatchdogData = { ...options, shared };
  const thread = new Worker(new URL(`./watchdog-thread.${extension}`, import.meta.url), {
    name: "watchdog",
    workerData: data,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
  });
  // Without the thread the supervisor still notices a hang, only not whose it is.
  thread.on("error", () => undefined);
  thread.unref();

  let lag = 0;
  let expected = performance.now() + every;
  setInterval(() => {
    const now = performance.now();
    lag = Math.max(lag, now - expected);
    expected = now + every;
    Atomics.add(shared, TURNS, 1);
    Atomics.store(shared, INSPECTED, inspectorUrl() === undefined ? 0 : 1);
  }, every).unref();
  return {
    takeLag() {
      const taken = Math.max(lag, performance.now() - expected, 0);
      lag = 0;
      return taken;
    },
    inspected: () => inspectorUrl() !== undefined,
  };
}

/**
 * How long the main thread of a process has waited for a processor since it was started, in milliseconds: time in which it
 * could not run is no hang. Undefined where the system does not tell (Linux does).
 */
export function starvedTime(pid: number): number | undefined {
  try {
    // Nanoseconds on a processor, nanoseconds waiting for one, times put on one.
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6;
  } catch {
    return undefined;
  }
}
