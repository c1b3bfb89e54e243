import { Worker } from "node:worker_threads";

/** Where the process writes how much memory it uses: a pipe that its parent opens. */
export const MEMORY_FD = 4;

/** How often, in milliseconds. */
const EVERY = 250;

/**
 * Tells the parent how much memory this process uses, and ends it when the parent is gone, even while a model hangs: from a
 * thread of its own, since the channel's messages and its `disconnect` only come as long as the event loop turns.
 */
export function startMemoryReports(): void {
  const source = `
    const { workerData } = require("node:worker_threads");
    const { writeSync } = require("node:fs");
    setInterval(() => {
      if (process.ppid !== workerData.parent) process.kill(process.pid, "SIGKILL");
      try {
        writeSync(workerData.fd, process.memoryUsage.rss() + "\\n");
      } catch {
        // Nobody reads it just now.
      }
    }, workerData.every);`;
  const workerData = { parent: process.ppid, fd: MEMORY_FD, every: EVERY };
  new Worker(source, { eval: true, workerData, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: 16 } }).unref();
}
