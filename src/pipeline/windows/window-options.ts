import type { Description, SinkSpec } from "../../contracts.ts";
import type { Duration } from "../../duration.ts";
import { milliseconds } from "../../duration.ts";
import { PlanError } from "../../errors.ts";
import type { ErrorPolicy } from "../error-policy.ts";
import { canBeOpened } from "../plan.ts";
import { collect, readyFold } from "./fold.ts";
import type { WindowSpec } from "./spec.ts";
import type { WindowPlan } from "./window-step.ts";
import type { Grouping } from "./windows.ts";

/** Options of `window`. */
export interface WindowOptions {
  /** Names the step in the plan; default `window`. */
  readonly name?: string | undefined;
  /**
   * What becomes of an event that the fold's `add` throws on, and of a window whose `result` throws; default: as the pipeline's `onError`
   * says. An `add` that throws because of what it already holds ends the task in any case.
   */
  readonly onError?: ErrorPolicy | undefined;
  /** How long after its end a window still takes events; default "0s". Its result waits for that. Not for count windows. */
  readonly lateness?: Duration | undefined;
  /** Where events go that came too late; default nowhere. They are counted in any case. */
  readonly late?: SinkSpec | undefined;
  /** `key` (default): windows for each key; `all`: one window over all events of the partition. */
  readonly per?: Grouping | undefined;
  /** The most windows open at a time in a partition, each key counted; default 1,000,000. More is an error, not a loss. */
  readonly maxOpen?: number | undefined;
  /** The most events held for `values`, in a partition; default 1,000,000. */
  readonly maxHeldEvents?: number | undefined;
  /** The most bytes of records held for `values`, in a partition; default 256 MiB. */
  readonly maxHeldBytes?: number | undefined;
}

/**
 * Checks the options of a window and fills in what is missing.
 * @throws PlanError naming the step
 */
export function windowPlan(name: string, spec: WindowSpec, options: WindowOptions & { readonly fold?: unknown }): WindowPlan {
  if (typeof spec?.kind !== "string")
    throw new PlanError(`step "${name}": give it a window: tumbling(…), sliding(…), session(…), count(…) or countOrTime(…)`);
  if (options.late !== undefined && !canBeOpened(options.late))
    throw new PlanError(`step "${name}": late must be a sink, such as sink(config.late)`);
  oneOf(name, "time", spec.time, ["event", "processing"]);
  oneOf(name, "per", options.per ?? "key", ["key", "all"]);
  const lateness = milliseconds(options.lateness ?? 0, `step "${name}": lateness`);
  if (lateness > 0 && spec.kind === "count")
    throw new PlanError(`step "${name}": count windows have no lateness, since time plays no part in them`);
  if (lateness > 0 && spec.time === "processing")
    throw new PlanError(`step "${name}": in processing time nothing is late; leave lateness out`);
  const fold = options.fold;
  return {
    name,
    spec,
    lateness,
    late: options.late,
    grouping: options.per ?? "key",
    fold: fold === undefined ? collect : readyFold(name, fold, spec.kind === "session" ? "merging" : "apart"),
    holds: fold === undefined ? "values" : "fold",
    limits: {
      maxOpen: stateLimit(name, "maxOpen", options.maxOpen, 1_000_000),
      maxHeldEvents: stateLimit(name, "maxHeldEvents", options.maxHeldEvents, 1_000_000),
      maxHeldBytes: stateLimit(name, "maxHeldBytes", options.maxHeldBytes, 256 * 1024 * 1024),
    },
  };
}

function oneOf(step: string, option: string, given: string, choices: readonly string[]): void {
  if (!choices.includes(given)) throw new PlanError(`step "${step}": ${option} must be ${choices.join(" or ")} (got ${given})`);
}

/** The settings of a window as data. */
export function describeWindow(spec: WindowSpec, options: WindowOptions & { readonly fold?: unknown }): Description {
  const { kind, time, ...numbers } = spec;
  return { window: kind, ...numbers, time: kind === "count" ? undefined : time, lateness: options.lateness, per: options.per ?? "key" };
}

/** What the state of a window step is made for: when that changes, open windows don't fit any more. */
export function windowShape({ spec, holds, grouping }: WindowPlan, fold: unknown): string {
  const { kind, time, ...numbers } = spec;
  const settings = Object.entries(numbers).map(([name, value]) => `${name} ${value}`);
  const named = holds === "fold" && typeof (fold as { readonly init?: unknown }).init !== "function";
  const content = holds === "values" ? "the values" : named ? `the aggregates ${Object.keys(fold as object).join(", ")}` : "an aggregate";
  return `${kind} windows (${settings.join(", ")}${kind === "count" ? "" : `, ${time} time`}) ${grouping === "key" ? "by key" : "over all"} with ${content}`;
}

/** A limit of what a step holds, checked. */
export function stateLimit(step: string, option: string, given: number | undefined, standard: number): number {
  const value = given ?? standard;
  if (!Number.isSafeInteger(value) || value < 1)
    throw new PlanError(`step "${step}": ${option} must be a whole number, 1 or more (got ${value})`);
  return value;
}
