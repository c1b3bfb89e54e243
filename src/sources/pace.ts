import type { Clock } from "../clock.ts";

/** How a file is replayed at the speed at which its events happened. */
export interface Pace {
  /** The field of each record that has its time: milliseconds since the epoch, or text such as 2014-02-06T12:00:00Z. */
  readonly by: string;
  /** Times as fast as it happened; default 1. */
  readonly factor: number;
}

/** Tells how long an event must wait: as long after the first one as it happened after it, divided by the factor. */
export class Pacer {
  readonly #pace: Pace;
  readonly #clock: Clock;
  #first: { readonly time: number; readonly at: number } | undefined;

  constructor(pace: Pace, clock: Clock) {
    this.#pace = pace;
    this.#clock = clock;
  }

  /**
   * @param record the decoded record
   * @returns milliseconds, 0 if it is due or overdue
   * @throws TypeError when the record has no time in the field
   */
  wait(record: unknown): number {
    const time = this.#timeOf(record);
    this.#first ??= { time, at: this.#clock.elapsed() };
    const due = this.#first.at + (time - this.#first.time) / this.#pace.factor;
    return Math.max(0, due - this.#clock.elapsed());
  }

  #timeOf(record: unknown): number {
    const { by } = this.#pace;
    const given = typeof record === "object" && record !== null ? (record as Record<string, unknown>)[by] : undefined;
    const time = typeof given === "number" ? given : typeof given === "string" ? timeOfText(given) : Number.NaN;
    if (Number.isFinite(time)) return time;
    throw new TypeError(`pace: the field "${by}" must have a time, in milliseconds since the epoch or as ISO 8601 text`);
  }
}

function timeOfText(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Date.parse(text);
}
