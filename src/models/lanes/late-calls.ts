import type { Clock } from "../../clock.ts";
import { systemClock } from "../../clock.ts";
import { Alarm } from "../alarm.ts";
import type { Call } from "./call.ts";
import { LaneTimeoutError } from "./call.ts";
import type { Lane } from "./lane.ts";

/** What is watched. */
export interface Watched {
  readonly noun: string;
  readonly lanes: readonly Lane[];
  /** Calls that are not answered yet, with their lanes; undefined while they wait for one. */
  unanswered(): Iterable<readonly [Call, Lane | undefined]>;
  /** Answers a call with an error, if it was not answered before. */
  fail(call: Call, error: Error): void;
}

/** Answers calls whose time is up, and ends lanes that hang. */
export class LateCalls implements Disposable {
  readonly #watched: Watched;
  readonly #clock: Clock;
  readonly #grace: number;
  readonly #hangAfter: number;
  readonly #deadlines: Alarm;
  /** Threads and processes live in the machine's time, whatever clock a pipeline has. */
  readonly #hangs = new Alarm(systemClock, () => this.#endHanging(), "deadline");

  constructor(watched: Watched, options: { readonly clock: Clock; readonly grace: number; readonly hangAfter: number }) {
    this.#watched = watched;
    this.#clock = options.clock;
    this.#grace = options.grace;
    this.#hangAfter = options.hangAfter;
    this.#deadlines = new Alarm(options.clock, () => this.#answerLate(), "deadline");
  }

  isLate({ until }: { readonly until: number }): boolean {
    return until !== Number.POSITIVE_INFINITY && until <= this.#clock.elapsed();
  }

  /** A call has come. */
  expect({ until }: { readonly until: number }): void {
    if (until !== Number.POSITIVE_INFINITY) this.#deadlines.set(until);
  }

  /** A lane has been given calls. */
  watch(lane: Lane): void {
    this.#hangs.set(lane.heardAt + this.#hangAfter);
  }

  #answerLate(): void {
    const now = this.#clock.elapsed();
    const { noun } = this.#watched;
    for (const [call, lane] of this.#watched.unanswered()) {
      if (call.until > now) {
        this.expect(call);
        continue;
      }
      if (lane !== undefined) {
        call.hangsAt = systemClock.elapsed() + this.#grace;
        this.#hangs.set(call.hangsAt);
        lane.cancel(call);
      }
      const what = lane === undefined ? `no ${noun} was free for it in time` : `its ${noun} gave no answer in time`;
      this.#watched.fail(call, new LaneTimeoutError(what));
    }
  }

  #endHanging(): void {
    const now = systemClock.elapsed();
    for (const lane of this.#watched.lanes) {
      if (lane.inFlight.size === 0) continue;
      const silent = lane.heardAt + this.#hangAfter;
      const next = Math.min(silent, this.#lateAt(lane));
      if (next > now) this.#hangs.set(next);
      else lane.kill(silent <= now ? `was silent for ${this.#hangAfter} ms` : "did not come back from a call whose time was up");
    }
  }

  /** When a call whose time was up, or is, will be overdue. Calls that only wait behind others in the lane are not. */
  #lateAt(lane: Lane): number {
    const begun = new Set<number>();
    let earliest = Number.POSITIVE_INFINITY;
    for (const { entry, isSerial, hangsAt } of lane.inFlight.values()) {
      if (!isSerial) earliest = Math.min(earliest, hangsAt);
      else if (!begun.has(entry)) {
        begun.add(entry);
        // It may have begun only with the lane's last answer.
        earliest = Math.min(earliest, Math.max(hangsAt, lane.heardAt + this.#grace));
      }
    }
    return earliest;
  }

  [Symbol.dispose](): void {
    this.#deadlines.clear();
    this.#hangs.clear();
  }
}
