import type { Event } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import type { CallFunction, CallPolicy } from "./call.ts";
import { attemptsOf, callWithPolicy } from "./call.ts";
import { eventCalls } from "./event-calls.ts";
import type { FailedRow } from "./portions.ts";

/** An asynchronous function per event, several at a time. */
export function mapAsyncStep(policy: CallPolicy, fn: CallFunction<unknown, unknown>): Step<unknown, unknown> {
  return (input, run) =>
    eventCalls(policy, { size: 1, limit: policy.maxInFlight }, input, run, (events) => callOne(policy, fn, events, run));
}

async function callOne(
  policy: CallPolicy,
  fn: CallFunction<unknown, unknown>,
  events: Event[],
  run: RunContext,
): Promise<readonly FailedRow[]> {
  const event = events[0] as Event;
  const given = policy.argument === "value" ? event.value : event;
  const called = await callWithPolicy(policy, attemptsOf(policy, fn, run), () => given, run);
  if (called.how === "failed") return [{ index: 0, error: called.error, tries: called.tries }];
  try {
    if (policy.argument === "value") event.value = called.value;
    else events[0] = asEvent(called.value);
    return [];
  } catch (error) {
    return [{ index: 0, error, tries: called.tries }];
  }
}

/** @throws TypeError when a function that was to return an event returned something else */
export function asEvent(returned: unknown): Event {
  if (typeof returned === "object" && returned !== null && "value" in returned && "offset" in returned && "origin" in returned) {
    return returned as Event;
  }
  throw new TypeError("with fullEvent the function must return the event that it got, or a copy of it with another value");
}
