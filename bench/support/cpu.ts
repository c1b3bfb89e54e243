/** Processor time and memory of other processes, by what /proc says of them (Linux only). */
import { readFileSync } from "node:fs";

import { descendants } from "../../test/support/processes.ts";

/** USER_HZ, which is 100 on all that Node runs on. */
const TICKS_PER_SECOND = 100;

/** User and system time of a process and all under it, in seconds, those of its children that have ended included. */
export function cpuSecondsOf(root: number): number {
  let ticks = 0;
  for (const pid of [root, ...descendants(root)]) for (const field of [11, 12, 13, 14]) ticks += Number(statOf(pid)[field] ?? 0);
  return ticks / TICKS_PER_SECOND;
}

/** What a process holds in memory that it shares with no other, in MiB. */
export function memoryOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  let kilobytes = 0;
  for (const match of text.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB$/gm)) kilobytes += Number(match[1]);
  return kilobytes / 1024;
}

/** The fields of /proc/PID/stat after the command's name; empty when it has ended. */
function statOf(pid: number): readonly string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}
