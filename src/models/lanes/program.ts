import type { FromLane, ToLane } from "./messages.ts";

/** How a lane is started: as a thread or as a child process. */
export interface LaneProgram {
  readonly noun: "thread" | "process";
  /**
   * Starts one.
   * @throws the signal's reason, or why it can't be started
   */
  start(events: LaneEvents, signal: AbortSignal): Promise<LanePort>;
}

/** What a lane that was started says. */
export interface LaneEvents {
  readonly message: (message: FromLane) => void;
  /** Why it is not started yet; undefined when it can be. */
  readonly waiting: (reason: string | undefined) => void;
}

/** A lane that was started. */
export interface LanePort {
  /** What is sent to one that is gone is lost. @throws when something in it can't be sent */
  post(message: ToLane): void;
  /** Ends it at once. */
  kill(): void;
  /** Why it ended, in words that go on `the thread …`: `called process.exit(3)`. */
  readonly gone: Promise<string>;
}
