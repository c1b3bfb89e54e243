/** Processes of this machine, by what /proc says of them. Where there is no /proc, there seem to be none. */
import { readdirSync, readFileSync } from "node:fs";

/** Sends a signal to each; those that have ended are passed over. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended meanwhile.
    }
  }
}

/** All processes under this one. */
export function descendants(root: number): number[] {
  const parents = new Map(allProcesses().map((pid) => [pid, Number(statOf(pid)[1])]));
  const found = [root];
  for (const pid of found) for (const [child, parent] of parents) if (parent === pid) found.push(child);
  return found.slice(1);
}

/** The processes of a process group that have not ended. */
export function groupMembers(group: number): number[] {
  return allProcesses().filter((pid) => Number(statOf(pid)[2]) === group && isAlive(pid));
}

/** False also for a process that has ended but was not collected by its parent yet. */
export function isAlive(pid: number): boolean {
  return !["", "Z", "X"].includes(stateOf(pid));
}

/** Whether it was stopped by SIGSTOP. */
export function isStopped(pid: number): boolean {
  return stateOf(pid) === "T";
}

/** How it was called; empty when it has ended. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

function allProcesses(): number[] {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** The fields of /proc/PID/stat after the command's name: state, parent, group, …; empty when there is no such process. */
function statOf(pid: number): readonly string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

function stateOf(pid: number): string {
  return statOf(pid)[0] ?? "";
}
