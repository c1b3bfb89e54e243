import type { Worker } from "node:worker_threads";

import { messageOf } from "../../errors.ts";
import type { FromLane, ToLane } from "./messages.ts";
import { pack } from "./packing.ts";
import type { LanePort, LaneProgram } from "./program.ts";
import type { ThreadPool } from "./thread-pool.ts";

const program = new URL(`./thread-main.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);

/**
 * Lanes that are threads.
 * @param memoryLimitMb of each thread's JavaScript heap, in MiB; Buffers and typed arrays are not part of it
 */
export function threadProgram(pool: ThreadPool, memoryLimitMb?: number): LaneProgram {
  const resourceLimits = memoryLimitMb === undefined ? {} : { maxOldGenerationSizeMb: memoryLimitMb };
  return {
    noun: "thread",
    start: async ({ message, waiting }, signal) => {
      const wait = () => waiting(`all ${pool.max} threads for models of this worker process (setting maxThreads) are in use`);
      const worker = await pool.start(program, { execArgv: [], resourceLimits, name: "model" }, wait, signal);
      waiting(undefined);
      const port = portOf(worker);
      worker.on("message", (given: FromLane) => message(given));
      return port;
    },
  };
}

function portOf(worker: Worker): LanePort {
  const gone = Promise.withResolvers<string>();
  let reason: string | undefined;
  worker.on("error", (error: unknown) => (reason ??= reasonOf(error)));
  worker.on("messageerror", (error) => {
    reason ??= `sent what can't be read: ${messageOf(error)}`;
    void worker.terminate();
  });
  worker.once("exit", (code) => gone.resolve(reason ?? `called process.exit(${code})`));
  return {
    post: (message) => post(worker, message),
    kill: () => void worker.terminate(),
    gone: gone.promise,
  };
}

function post(worker: Worker, message: ToLane): void {
  if (message[0] !== "calls") {
    worker.postMessage(message, []);
    return;
  }
  const { message: parts, transfer, buffers } = pack(message);
  parts[2] = buffers;
  worker.postMessage(parts, transfer as ArrayBuffer[]);
}

function reasonOf(error: unknown): string {
  const isMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return isMemory ? `ran out of memory: ${messageOf(error)}` : `threw what nothing caught: ${messageOf(error)}`;
}
