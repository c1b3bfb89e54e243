import type { Batch } from "../batch.ts";
import type { RunContext } from "../contracts.ts";
import type { CallPolicy } from "./call.ts";
import type { CallEvents, CallsOptions } from "./ordered-calls.ts";
import { orderedCalls } from "./ordered-calls.ts";
import { unorderedCalls } from "./unordered-calls.ts";

/** Runs an asynchronous call over the events of a step; results go on in the order that its policy says. */
export function eventCalls(
  policy: CallPolicy,
  { size, limit }: Pick<CallsOptions, "size" | "limit">,
  input: AsyncIterable<Batch>,
  run: RunContext,
  call: CallEvents,
): AsyncGenerator<Batch> {
  const calls = policy.results === "in input order" ? orderedCalls : unorderedCalls;
  return calls(input, run, { step: policy.step, size, limit }, call);
}
