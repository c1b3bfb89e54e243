/**
 * The thread that watches the event loop of a worker process. See watchdog.ts.
 */
import { Session, type Debugger } from "node:inspector";
import { workerData } from "node:worker_threads";

import { EXECUTING, placeOf, say } from "./last-words.ts";
import type { LastWords } from "./messages.ts";
import { INSPECTED, starvedTime, TURNS, type WatchdogData } from "./watchdog.ts";

const { supervisor, heartbeat, rssLimit, shared } = workerData as WatchdogData;

/** How often this thread looks. Milliseconds. */
const LOOK = Math.min(1000, heartbeat / 8);
/** After this part of the heartbeat it is time to ask: late, since asking slows the process down, but in time for the answer. */
const SUSPICIOUS = 0.6;
/** How long the event loop may take to stop at the next statement. Milliseconds. */
const PAUSE_TIMEOUT = 2000;

let turns = -1;
let turnedAt = performance.now();
let starvedBefore = 0;
let asked = false;
let orphanedFor = 0;

setInterval(() => {
  endOrphan();
  const seen = Atomics.load(shared, TURNS);
  const now = performance.now();
  if (seen !== turns) {
    turns = seen;
    turnedAt = now;
    starvedBefore = 0;
    asked = false;
    return;
  }
  if (asked || Atomics.load(shared, INSPECTED) === 1) return;
  const starved = starvedTime(process.pid) ?? 0;
  starvedBefore ||= starved;
  const silent = now - turnedAt - (starved - starvedBefore);
  const why = silent > SUSPICIOUS * heartbeat ? "blocked" : silent > 2 * LOOK && tooLarge() ? "memory" : undefined;
  if (why === undefined) return;
  asked = true;
  askWhoHangs(why);
}, LOOK);

/** The event loop gets one look's time to see by itself that the supervisor is gone. */
function endOrphan(): void {
  if (process.ppid === supervisor) return;
  orphanedFor++;
  if (orphanedFor > 1) process.kill(process.pid, "SIGKILL");
}

function tooLarge(): boolean {
  return rssLimit !== undefined && process.memoryUsage.rss() > rssLimit;
}

/** Stops the main thread at its next statement with V8's debugger, asks it for whom it executes and where, and lets it go on. */
function askWhoHangs(why: LastWords["why"]): void {
  const session = new Session();
  const urls = new Map<string, string>();
  const finish = (task: string | undefined, what: string) => {
    clearTimeout(timeout);
    session.disconnect();
    say({ why, task, what });
  };
  const timeout = setTimeout(() => finish(undefined, "the event loop hangs in native code"), PAUSE_TIMEOUT);
  session.connectToMainThread();
  session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
  session.on("Debugger.paused", ({ params }) => {
    const [top] = params.callFrames;
    const what = `the event loop hangs${hangsAt(params.callFrames, urls)}`;
    if (top === undefined) return;
    const question = { callFrameId: top.callFrameId, expression: `globalThis[Symbol.for("${EXECUTING}")]()`, returnByValue: true };
    session.post("Debugger.evaluateOnCallFrame", question, (error: Error | null, answer: Debugger.EvaluateOnCallFrameReturnType) => {
      const value: unknown = error === null ? answer.result.value : undefined;
      session.post("Debugger.resume", () => finish(typeof value === "string" ? value : undefined, what));
    });
  });
  session.post("Debugger.enable", () => session.post("Debugger.pause"));
}

/** The innermost place outside Millrace and Node. */
function hangsAt(frames: readonly Debugger.CallFrame[], urls: ReadonlyMap<string, string>): string {
  const own = new URL("..", import.meta.url).href;
  for (const { location } of frames) {
    const url = urls.get(location.scriptId) ?? "";
    if (url.startsWith("file:") && !url.startsWith(own)) return ` at ${placeOf(url)}:${location.lineNumber + 1}`;
  }
  return "";
}
