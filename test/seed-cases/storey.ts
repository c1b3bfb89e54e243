import type { SeedCase } from "./case.ts";
import { field, isFields, marksFault, targetOf, UnknownCase } from "./case.ts";
import type { Judged } from "./judge.ts";
import { batchTarget, runBatch } from "./storey-batch.ts";
import { runFlow } from "./storey-flow.ts";
import { runOutlets } from "./storey-outlets.ts";
import { refusedBatch, refusedCalls } from "./storey-refusals.ts";
import { stepKind } from "./storey-steps.ts";

/** Cases of Storey: what is right, and what Millrace does. */
export async function storey(given: SeedCase): Promise<Judged> {
  const { feature } = given;
  if (feature.startsWith("Batch config validation")) return { target: targetOf(given), seen: refusedBatch(given) };
  if (feature.startsWith("ConcurrentExecution config validation")) return { target: targetOf(given), seen: refusedCalls(given) };
  if (/^Batch\b/.test(feature)) return { target: batchTarget(given), seen: await runBatch(given) };
  if (feature.startsWith("Map fn_select_outlets")) return { target: targetOf(given), seen: await runOutlets(given) };
  const known = /^(?:ConcurrentExecution|recovery|error[ _](?:stream|recovery)|push_error)/i;
  if (stepKind(feature) === undefined && !known.test(feature)) throw new UnknownCase(`Millrace has nothing like ${feature}`);
  return { target: flowTarget(given), seen: await runFlow(given) };
}

/**
 * What is right: Storey blames a concurrent step for what fails behind it, and handles it there; and it takes a back-off of 0 for 1, where
 * here it is no wait at all.
 */
function flowTarget(given: SeedCase): unknown {
  const told = targetOf(given);
  const isWaitless = given.config["backoff_factor"] === 0 && marksFault(given);
  const target = isWaitless && isFields(told) && "sleeps_s" in told ? { ...told, sleeps_s: [] } : told;
  const { input, expected_reference: reference } = given;
  const behind = field(input, "downstream_map");
  const handled = field(target, "handler_saw");
  if (reference !== undefined || !marksFault(given) || typeof behind !== "string" || !Array.isArray(handled) || handled.length === 0)
    return target;
  const raised = /raises (\w+)\('(.*?)'\)/.exec(behind);
  const rest = isFields(target) ? target : {};
  return { ...rest, raised: `${raised?.[1]}: ${raised?.[2]}`, handler_saw: [] };
}
