import type { Event } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import type { ModuleCall, PlannedModel } from "../model.ts";
import type { AttemptFunction, CallFunction, CallPolicy } from "./call.ts";
import { attemptsOf, callWithPolicy } from "./call.ts";
import { eventCalls } from "./event-calls.ts";
import { FailedOutput } from "./inference/answers.ts";
import type { FailedRow } from "./portions.ts";

/** An asynchronous function per event, several at a time. */
export function mapAsyncStep(policy: CallPolicy, fn: CallFunction<unknown, unknown>): Step<unknown, unknown> {
  return (input, run) => {
    const attempt = attemptsOf(policy, fn, run);
    const attemptEvent: AttemptFunction<Event, unknown> = (event, one) => attempt(policy.argument === "value" ? event.value : event, one);
    return eventCalls(policy, { size: 1, limit: policy.maxInFlight }, input, run, (events) => callOne(policy, attemptEvent, events, run));
  };
}

/** The same with a function in a module, which runs wherever the model runs that stands for it. */
export function mapModuleStep(policy: CallPolicy, model: PlannedModel): Step<unknown, unknown> {
  return async function* mapModule(input, run) {
    const { task, partition } = run;
    const { step, maxInFlight } = policy;
    using caller = run.model(model).caller({ name: `${task.id}/${step}/${partition}`, maxInFlight, priority: 0 });
    const attemptEvent: AttemptFunction<Event, unknown> = async (event, { attempt, signal, until }) => {
      const context = policy.context === "pass" ? { task, partition, step, attempt } : undefined;
      const call: ModuleCall = { value: policy.argument === "value" ? event.value : withoutRecord(event), context };
      const { outputs } = await caller.predict([call], { events: [event], signal, until });
      const [output] = Array.from(outputs);
      if (output instanceof FailedOutput) throw output.error;
      return policy.argument === "value" ? output : { ...event, ...changed(asEvent(output)) };
    };
    const limit = () => caller.maxInFlight;
    yield* eventCalls(policy, { size: 1, limit }, input, run, (events) => callOne(policy, attemptEvent, events, run));
  };
}

/** An event as it goes to another thread: not with the bytes that it was read from. */
function withoutRecord(event: Event): Event {
  return { ...event, raw: undefined, rawKey: undefined };
}

/** What a function may change of an event that went to another thread: its copy has lost where it came from. */
function changed({ value, key, time, headers }: Event): Pick<Event, "value" | "key" | "time" | "headers"> {
  return { value, key, time, headers };
}

async function callOne(
  policy: CallPolicy,
  attempt: AttemptFunction<Event, unknown>,
  events: Event[],
  run: RunContext,
): Promise<readonly FailedRow[]> {
  const event = events[0] as Event;
  const called = await callWithPolicy(policy, attempt, () => event, run);
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
