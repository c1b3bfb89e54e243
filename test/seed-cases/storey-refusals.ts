import type { MapAsyncOptions } from "millrace";
import { from, moduleFunction, PlanError } from "millrace";

import { sourceOf } from "../pipeline/source-of.ts";
import type { SeedCase } from "./case.ts";
import { numberOf } from "./case.ts";
import { callOptions, concurrencyOf, MODULE } from "./concurrent-step.ts";
import { typeName } from "./python-values.ts";
import type { Seen } from "./seen.ts";

/** Runs a case of options that are refused: what Millrace says, in Storey's words. */
export function refusedBatch({ config }: SeedCase): Seen {
  const refusal = refusalOf(() => {
    const size = config["max_events"] as number | undefined;
    const seconds = config["flush_after_seconds"];
    const time = typeof seconds === "number" ? seconds * 1000 : (seconds as string | undefined);
    from(sourceOf<unknown>()).batch({ size: size ?? undefined, time: time ?? undefined });
  });
  return errorOf(refusal, [
    [/give size, time, or both/, () => "ValueError: At least one of flush_after_seconds or max_events must be provided in Batch"],
    [/size must be a whole number, 1 or more/, () => refusedNumber("max_events", config["max_events"])],
    [/time: .*(?:is no duration|must be longer than 0)/, () => refusedNumber("flush_after_seconds", config["flush_after_seconds"])],
  ]);
}

function refusedNumber(name: string, given: unknown): string {
  const needed = name === "max_events" ? "an integer" : "a number";
  const isRight = name === "max_events" ? Number.isInteger(given) : typeof given === "number";
  if (!isRight) return `TypeError: ${name} must be ${needed}, got ${typeName(given)}`;
  return name === "max_events" ? "ValueError: max_events must be a positive integer" : `ValueError: ${name} cannot be negative`;
}

/** The same of a ConcurrentExecution. */
export function refusedCalls(given: SeedCase): Seen {
  const { config } = given;
  const refusal = refusalOf(() => {
    const concurrency = concurrencyOf(given) as MapAsyncOptions["concurrency"];
    const flags = { fullEvent: config["full_event"] === true, passContext: config["pass_context"] === true };
    planCalls({ ...callOptions(given), ...flags, concurrency }, settingsOf(given));
  });
  const label = String(config["concurrency_mechanism"]);
  return errorOf(refusal, [
    [
      /maxInFlight may not be less than 1 \(got (\S+)\)/,
      () => `ValueError: max_in_flight may not be less than 1 (got ${numberOf(config, "max_in_flight")})`,
    ],
    [
      /concurrency must be one of/,
      () =>
        `ValueError: Execution mechanism '${label}' is invalid. It must be one of: ` +
        "[process_pool, dedicated_process, thread_pool, asyncio, shared_executor, naive]",
    ],
    [
      /may not be used with fullEvent/,
      () => `ValueError: concurrency_mechanism="${label}" may not be used in conjunction with full_event=True`,
    ],
    [
      /settings must be plain data/,
      () => `ValueError: When concurrency_mechanism="${label}" is used in conjunction with pass_context=True, context must be serializable`,
    ],
  ]);
}

function planCalls(options: MapAsyncOptions, settings: unknown): void {
  const { concurrency = "async" } = options;
  const stream = from(sourceOf<unknown>());
  if (concurrency === "async") stream.mapAsync(async (value) => value, options);
  else stream.mapAsync(moduleFunction(MODULE, { settings }), options);
}

/** A context that a case says can't leave its process is a function here. */
function settingsOf({ feature, config, input, note }: SeedCase): unknown {
  const told = JSON.stringify([feature, config["context"], input, note]);
  return /(?:not|un|non-?)\s?-?(?:be )?(?:pickl|serializ|serialis)/i.test(told) ? () => undefined : undefined;
}

function refusalOf(plan: () => void): string | undefined {
  try {
    plan();
    return undefined;
  } catch (error) {
    if (error instanceof PlanError) return error.message;
    throw error;
  }
}

function errorOf(refusal: string | undefined, words: readonly (readonly [RegExp, () => string])[]): Seen {
  const found = refusal === undefined ? undefined : words.find(([pattern]) => pattern.test(refusal));
  const error = found === undefined ? (refusal ?? null) : found[1]();
  return { error, raised: error };
}
