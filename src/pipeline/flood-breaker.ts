import type { Clock } from "../clock.ts";
import type { Duration } from "../duration.ts";
import { positiveMilliseconds } from "../duration.ts";
import { messageOf, MillraceError, PlanError, shortened } from "../errors.ts";
import { RecentCounts } from "./recent-counts.ts";

/** When so many events fail that a task pauses, instead of skipping a topic or draining it into the dead letters. */
export interface BreakerOptions {
  /** Above this part of the events read, from 0 to 1; default 0.5. */
  readonly share?: number | undefined;
  /** And not before so many have failed; default 100. */
  readonly events?: number | undefined;
  /** Within this time; default "30s". */
  readonly within?: Duration | undefined;
}

/** The same, checked and filled in; `within` in milliseconds. */
export interface Breaker {
  readonly share: number;
  readonly events: number;
  readonly within: number;
}

/** Too large a share of the events failed: nearly always something other than the events is wrong. The task pauses. */
export class FloodError extends MillraceError {
  override readonly name = "FloodError";
}

/** @throws {PlanError} when an option is out of its range */
export function breakerOf(options: BreakerOptions | "off" | undefined): Breaker | undefined {
  if (options === "off") return undefined;
  const { share = 0.5, events = 100, within = "30s" } = options ?? {};
  if (typeof share !== "number" || !(share >= 0 && share <= 1))
    throw new PlanError(`onError: breaker.share must be from 0 to 1 (got ${share})`);
  if (!Number.isInteger(events) || events < 1)
    throw new PlanError(`onError: breaker.events must be a whole number, 1 or more (got ${events})`);
  return { share, events, within: positiveMilliseconds(within, "onError: breaker.within") };
}

/** Counts what was read and what failed of late, over all partitions of an instance. */
export class FloodBreaker {
  readonly #limits: Breaker | undefined;
  readonly #counts: RecentCounts;

  /** @param limits undefined: it never breaks */
  constructor(limits: Breaker | undefined, clock: Clock) {
    this.#limits = limits;
    this.#counts = new RecentCounts(limits?.within ?? 1, clock);
  }

  read(events: number): void {
    if (this.#limits !== undefined) this.#counts.add(events, 0);
  }

  /**
   * An event has failed, and is to be left out.
   * @throws {FloodError} when that is one too many
   */
  failed(step: string, error: unknown): void {
    const limits = this.#limits;
    if (limits === undefined) return;
    this.#counts.add(0, 1);
    const { all, failed } = this.#counts.sums();
    if (failed < limits.events || failed <= limits.share * all) return;
    throw new FloodError(
      `paused: ${failed} of the ${Math.max(all, failed)} events of the last ${limits.within / 1000} s failed, the last one at step "${step}": ` +
        `${shortened(messageOf(error), 500)}. Nothing was committed past it. Put right what is wrong, then change the task or send SIGHUP`,
      { cause: error },
    );
  }
}
