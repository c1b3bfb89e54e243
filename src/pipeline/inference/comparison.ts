import { isDeepStrictEqual } from "node:util";

import type { Event } from "../../batch.ts";
import { messageOf, shortened } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import { MODEL_HEADER } from "../../model.ts";
import { FailedOutput } from "../infer.ts";
import type { Comparison } from "./companion-options.ts";
import { nameOf } from "./model-header.ts";

/** What a model said of a row. */
export type Said = { readonly output: unknown; readonly model: string | undefined } | { readonly error: unknown };

/** What went on of an event, as it is now: steps behind may change what it holds. */
export function saidOf(event: Event, before: Event["headers"]): Said {
  const mark = event.headers === before ? undefined : event.headers?.findLast(([name]) => name === MODEL_HEADER);
  return { output: snapshot(event.value), model: mark === undefined ? undefined : String(mark[1]) };
}

/** What a shadow answered. */
export function secondOf(output: unknown, identity: ModelIdentity | undefined): Said {
  if (output instanceof FailedOutput) return { error: output.error };
  return { output, model: identity && nameOf(identity) };
}

function snapshot(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  try {
    return structuredClone(value);
  } catch {
    // It holds a function or the like: nobody can copy it.
    return value;
  }
}

/** How two models answered a row. */
export function compared(
  step: string,
  event: Event,
  { first, second }: { readonly first: Said; readonly second: Said },
  differs: (first: unknown, second: unknown) => boolean = unequal,
): Comparison {
  const { key, value: input } = event;
  return { step, key, input, ...told("first", first), ...told("second", second), differs: isDifferent(first, second, differs) };
}

function isDifferent(first: Said, second: Said, differs: (first: unknown, second: unknown) => boolean): boolean {
  if ("error" in first || "error" in second) return "error" in first !== "error" in second;
  return differs(first.output, second.output);
}

function told(who: "first" | "second", said: Said): Readonly<Record<string, unknown>> {
  if ("error" in said) return { [`${who}Error`]: shortened(messageOf(said.error), 500) };
  return { [who]: said.output, ...(said.model === undefined ? {} : { [`${who}Model`]: said.model }) };
}

function unequal(first: unknown, second: unknown): boolean {
  return !isDeepStrictEqual(first, second);
}
