import type { Clock } from "../../clock.ts";
import type { Logger } from "../../contracts.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import { RecentCounts } from "../recent-counts.ts";
import { nameOf } from "./model-header.ts";

/** The limits of a canary, checked and filled in; times in milliseconds. */
export interface CanaryLimits {
  readonly maxErrorRate: number;
  readonly window: number;
  readonly minRows: number;
  /** Undefined: never by time. */
  readonly retryAfter: number | undefined;
}

/** Says whether a canary still gets its share, over all partitions of an instance. */
export class CanaryJudge {
  readonly #step: string;
  readonly #limits: CanaryLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #counts: RecentCounts;
  #givenUp: { readonly at: number; readonly identity: ModelIdentity | undefined } | undefined;

  constructor(step: string, limits: CanaryLimits, { clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#step = step;
    this.#limits = limits;
    this.#clock = clock;
    this.#logger = logger;
    this.#counts = new RecentCounts(limits.window, clock);
  }

  /** @param identity of what would answer now; undefined for a function */
  mayTry(identity: ModelIdentity | undefined): boolean {
    if (this.#givenUp === undefined) return true;
    const { at, identity: before } = this.#givenUp;
    const { retryAfter = Number.POSITIVE_INFINITY } = this.#limits;
    if (identity === before && this.#clock.elapsed() - at < retryAfter) return false;
    this.#givenUp = undefined;
    this.#counts.clear();
    this.#logger.info({ step: this.#step, ...told(identity) }, "the canary gets its share again");
    return true;
  }

  /** @param failed those of the rows that it failed and the first model could do */
  heard(identity: ModelIdentity | undefined, rows: number, failed: number): void {
    this.#counts.add(rows, failed);
    if (failed === 0 || this.#givenUp !== undefined) return;
    const { all, failed: ofLate } = this.#counts.sums();
    const { minRows, maxErrorRate, window } = this.#limits;
    if (all < minRows || ofLate <= maxErrorRate * all) return;
    this.#givenUp = { at: this.#clock.elapsed(), identity };
    const fields = { step: this.#step, ...told(identity), rows: all, failed: ofLate };
    this.#logger.warn(fields, `the canary is given up: it failed ${ofLate} of its ${all} rows of the last ${window / 1000} s`);
  }
}

function told(identity: ModelIdentity | undefined): { readonly model?: string } {
  return identity === undefined ? {} : { model: nameOf(identity) };
}
