import type { Description } from "../../contracts.ts";
import type { Duration } from "../../duration.ts";
import { positiveMilliseconds } from "../../duration.ts";
import { PlanError } from "../../errors.ts";
import type { ErrorPolicy } from "../error-policy.ts";
import type { EventFunction } from "../transforms.ts";
import { stateLimit } from "../windows/window-options.ts";
import type { DeduplicatePlan } from "./deduplicate-step.ts";

/** Options of `deduplicate`; at least one of `within` and `count`. With both, an id is forgotten by whichever comes first. */
export interface DeduplicateOptions {
  /** Names the step in the plan; default `deduplicate`. */
  readonly name?: string | undefined;
  /** What becomes of an event on which `idOf` throws or that has no id; default: as the pipeline's `onError` says. */
  readonly onError?: ErrorPolicy | undefined;
  /**
   * How long an id is remembered, in event time: until the watermark is that much beyond the time of the event that had it
   * first, or, where that event was late, beyond the watermark at which it came. Repeats do not lengthen it.
   */
  readonly within?: Duration | undefined;
  /** How many ids are remembered, in a partition: the last of those that went through. */
  readonly count?: number | undefined;
  /** `all` (default): an id is the same whatever its event's key; `key`: the same id under another key is another. */
  readonly per?: "key" | "all" | undefined;
  /** The most ids remembered at a time in a partition, where `count` does not say; default 1,000,000. More is an error: repeats would go through unseen. */
  readonly maxIds?: number | undefined;
}

/**
 * Checks the options of a `deduplicate` and fills in what is missing.
 * @throws PlanError naming the step
 */
export function deduplicatePlan(name: string, idOf: EventFunction<unknown, unknown>, options: DeduplicateOptions): DeduplicatePlan {
  // What is no object, as a bare duration, has none of them.
  const { within, count, per = "all", maxIds } = options ?? {};
  if (within === undefined && count === undefined) throw new PlanError(`step "${name}": give within, count, or both`);
  if (per !== "key" && per !== "all") throw new PlanError(`step "${name}": per must be key or all (got ${String(per)})`);
  if (count !== undefined && maxIds !== undefined)
    throw new PlanError(`step "${name}": count bounds the ids already, by forgetting the oldest; leave maxIds out`);
  return {
    name,
    idOf,
    within: within === undefined ? undefined : positiveMilliseconds(within, `step "${name}": within`),
    count: count === undefined ? undefined : stateLimit(name, "count", count, count),
    per,
    maxIds: stateLimit(name, "maxIds", maxIds, 1_000_000),
  };
}

/** The settings of a `deduplicate` as data. */
export function describeDeduplicate({ within, count, per, maxIds }: DeduplicateOptions): Description {
  return { within, count, per: per ?? "all", maxIds };
}

/** What the memory of the step is made for: that of another shape does not fit. Another time or count does. */
export function deduplicateShape({ within, per }: DeduplicatePlan): string {
  return `ids seen${within === undefined ? "" : " with their times"}${per === "key" ? " by key" : ""}`;
}
