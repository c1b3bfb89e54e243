import { closeSync, openSync } from "node:fs";

/** What the operator asks for. */
export interface Wishes {
  /** Finish what was begun, then end. */
  drain(signal: NodeJS.Signals): void;
  /** End at once. */
  abort(signal: NodeJS.Signals): void;
  reload(): void;
}

/**
 * Listens to signals: SIGTERM and SIGINT ask for a drain and, the second time, for an end at once; SIGHUP asks for a
 * reload, unless it means that the terminal that this was started in is gone. SIGUSR1 stays Node's, which opens its debugger.
 * @returns stops listening
 */
export function listenToSignals(wishes: Wishes): () => void {
  const terminal = hasTerminal();
  let draining = false;
  const end = (signal: NodeJS.Signals) => {
    if (draining) wishes.abort(signal);
    else wishes.drain(signal);
    draining = true;
  };
  const hangUp = () => {
    if (terminal && !hasTerminal()) end("SIGHUP");
    else wishes.reload();
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  process.on("SIGHUP", hangUp);
  return () => {
    process.off("SIGTERM", end);
    process.off("SIGINT", end);
    process.off("SIGHUP", hangUp);
  };
}

/** Whether there is a terminal that can send signals. After it was closed, it can't be opened any more. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
