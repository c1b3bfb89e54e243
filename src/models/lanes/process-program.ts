import type { ChildProcess } from "node:child_process";
import { fork } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { environmentWithoutInspector } from "../../inspector-flags.ts";
import type { FromLane } from "./messages.ts";
import { MEMORY_FD } from "./process-watch.ts";
import type { LanePort, LaneProgram } from "./program.ts";

const program = fileURLToPath(new URL(`./process-main.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url));

/**
 * Lanes that are child processes.
 * @param memoryLimitMb of all memory that each uses (RSS), in MiB: above it, it is ended and replaced
 */
export function processProgram(memoryLimitMb?: number): LaneProgram {
  return {
    noun: "process",
    start: ({ message }, signal) => {
      signal.throwIfAborted();
      const child = fork(program, [], {
        execArgv: [],
        env: environmentWithoutInspector(),
        serialization: "advanced",
        stdio: ["ignore", "inherit", "inherit", "ipc", "pipe"],
      });
      child.on("message", (given: FromLane) => message(given));
      return Promise.resolve(portOf(child, memoryLimitMb));
    },
  };
}

function portOf(child: ChildProcess, memoryLimitMb = Number.POSITIVE_INFINITY): LanePort {
  const gone = Promise.withResolvers<string>();
  let reason: string | undefined;
  const kill = () => void child.kill("SIGKILL");
  child.on("error", (error) => {
    reason ??= `failed: ${error.message}`;
    if (child.pid === undefined) gone.resolve(reason);
    else kill();
  });
  // Without its channel it can't answer.
  child.on("disconnect", kill);
  child.once("exit", (code, signal) => gone.resolve(reason ?? exitReason(code, signal)));
  // There is none where the process could not be started.
  const stdio = child.stdio as ChildProcess["stdio"] | undefined;
  watchMemory(stdio?.[MEMORY_FD] as Readable | undefined, (bytes) => {
    const used = Math.round(bytes / 2 ** 20);
    if (used <= memoryLimitMb) return;
    reason ??= `used ${used} MiB of memory, more than its limit of ${memoryLimitMb} MiB`;
    kill();
  });
  return {
    post: (message) => {
      // When the channel is closed, `disconnect` or `exit` tells.
      if (child.connected) child.send(message, () => undefined);
    },
    kill,
    gone: gone.promise,
  };
}

/** Reads the last whole line of each piece. */
function watchMemory(reports: Readable | undefined, used: (bytes: number) => void): void {
  reports?.setEncoding("utf8").on("error", () => undefined);
  reports?.on("data", (text: string) => {
    const line = text.trimEnd().split("\n").at(-1);
    if (line !== undefined && line !== "") used(Number(line));
  });
}

function exitReason(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === "SIGABRT") return "was ended by SIGABRT, as when memory runs out";
  return signal === null ? `called process.exit(${code ?? 0})` : `was ended by ${signal}`;
}
