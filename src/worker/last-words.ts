import { AsyncLocalStorage } from "node:async_hooks";
import { writeSync } from "node:fs";
import { constants } from "node:os";

import { messageOf, shortened, stackOf } from "../errors.ts";
import type { LastWords } from "./messages.ts";

/** The pipe that the supervisor gives each worker besides stdin, stdout, stderr and the IPC channel. */
export const LAST_WORDS_FD = 4;

/** Exit code of a worker in which an exception was not caught (EX_SOFTWARE of BSD's sysexits). */
const UNCAUGHT = 70;

/** So much of a message is told that the place of it still is. Characters. */
const MESSAGE = 2000;

/** The task whose code is being executed: everything that its run starts, and what that starts, carries its id. */
const executing = new AsyncLocalStorage<string>();

/** Under this name the thread that watches the event loop asks who is executing, by way of the debugger. */
export const EXECUTING = "millrace.executing";

/** Does `work` on behalf of a task. */
export function executeFor<R>(task: string, work: () => R): R {
  return executing.run(task, work);
}

/** Writes a line to the supervisor, without the event loop. */
export function say(words: LastWords): void {
  try {
    writeSync(LAST_WORDS_FD, `${JSON.stringify(words)}\n`);
  } catch {
    // Without a supervisor there is nobody to tell.
  }
}

/** What `watchExits` gives to who ends the process on purpose. */
export interface Exits {
  /** Ends the process without last words. */
  exit(code: number): never;
}

/**
 * Sees to it that a process that dies says first whose code was being executed: for exceptions and rejections that nobody
 * caught, for `process.exit`, for signals that it sends to itself, and for the end of its channel to the supervisor.
 * @param fatal called with what was not caught, to log it
 */
export function watchExits(fatal: (thrown: unknown) => void): Exits {
  Reflect.set(globalThis, Symbol.for(EXECUTING), () => executing.getStore());
  let planned = false;
  const leave = (code: number): never => {
    planned = true;
    process.exit(code);
  };
  const uncaught = (kind: string) => (thrown: unknown) => {
    tell("exception", `${kind}: ${shortened(messageOf(thrown), MESSAGE)}${placeIn(stackOf(thrown))}`);
    fatal(thrown);
    leave(UNCAUGHT);
  };
  process.on("uncaughtException", uncaught("an exception that nothing caught"));
  process.on("unhandledRejection", uncaught("a rejected promise that nothing awaited"));
  process.on("exit", (code) => {
    if (!planned) tell("exit", `process.exit(${code}) was called${placeIn(new Error("trace").stack)}`);
    planned = true;
  });
  watchSuicide();
  // What process.exit ends with, once the listeners have been called: a product that calls it itself passes them by.
  watchCall("reallyExit", () => !planned);
  // Node calls it as well, for no task, when the supervisor has closed the channel; this ends the process.
  watchCall("disconnect", () => executing.getStore() !== undefined);
  return { exit: leave };
}

/** Tells of a call of a function of `process`, if `counts` says so then. */
function watchCall(name: "disconnect" | "reallyExit", counts: () => boolean): void {
  const called = Reflect.get(process, name) as ((...values: unknown[]) => unknown) | undefined;
  if (called === undefined) return;
  Reflect.set(process, name, (...values: unknown[]) => {
    if (counts()) tell("exit", `process.${name}() was called${placeIn(new Error("trace").stack)}`);
    return called.apply(process, values);
  });
}

function tell(why: LastWords["why"], what: string): void {
  say({ why, task: executing.getStore(), what });
}

/** `process.abort` and signals to this very process leave no time for an exit listener. */
function watchSuicide(): void {
  const abort = process.abort.bind(process);
  const kill = process.kill.bind(process);
  process.abort = () => {
    tell("signal", `process.abort() was called${placeIn(new Error("trace").stack)}`);
    return abort();
  };
  process.kill = (pid, signal) => {
    const self = pid === process.pid || pid === 0 || pid === -process.pid;
    if (self && ends(signal ?? "SIGTERM"))
      tell("signal", `process.kill sent ${signal ?? "SIGTERM"} to its own process${placeIn(new Error("trace").stack)}`);
    return kill(pid, signal);
  };
}

/** Whether a signal may end this process: not one that it listens to, or that does nothing where nobody listens. */
function ends(signal: string | number): boolean {
  const name = typeof signal === "string" ? signal : Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  return name !== undefined && !HARMLESS.has(name) && process.listenerCount(name) === 0;
}

const HARMLESS: ReadonlySet<string> = new Set(["SIGCHLD", "SIGCONT", "SIGPIPE", "SIGURG", "SIGUSR1", "SIGWINCH"]);

const OWN_CODE = new URL("..", import.meta.url).href;

/** The first place of a stack trace that lies outside Millrace and Node: ` at FILE:LINE`, or nothing. */
export function placeIn(stack: string | undefined): string {
  for (const [, url, line] of (stack ?? "").matchAll(/(file:\/\/[^\s)]+?):(\d+):\d+/g)) {
    if (url !== undefined && !url.startsWith(OWN_CODE)) return ` at ${placeOf(url)}:${line}`;
  }
  return "";
}

/** A file URL as a path, without what a reload has added to it. */
export function placeOf(url: string): string {
  return decodeURIComponent(url.replace(/^file:\/\//, "").replace(/[?#].*$/, ""));
}
