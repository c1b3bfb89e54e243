import type { CallOptions, ErrorPolicy, Event, ModuleFunction, Stream } from "millrace";
import { moduleFunction } from "millrace";

import type { ModuleCall } from "../../src/model.ts";
import type { Calls } from "./calls.ts";
import type { SeedCase } from "./case.ts";
import { field, isFields, marksFault, numberOf } from "./case.ts";
import type processed from "./module-processor.ts";
import { processorOf } from "./processor.ts";

/** The function of a case as a module. */
export const MODULE = import.meta.resolve("./module-processor.ts");

/** Storey's names for where its function runs, with ours. */
const MECHANISMS: Readonly<Record<string, string>> = {
  asyncio: "async",
  naive: "async",
  threading: "thread",
  thread_pool: "thread",
  multiprocessing: "process",
  process_pool: "process",
  dedicated_process: "process",
  shared_executor: "process",
};

/** Where the function of a ConcurrentExecution runs; a name that Storey does not know goes through as it is. */
export function concurrencyOf({ config }: SeedCase): string | undefined {
  const mechanism = config["concurrency_mechanism"];
  return typeof mechanism === "string" ? (MECHANISMS[mechanism] ?? mechanism) : undefined;
}

/** The options of a ConcurrentExecution as ours. */
export function callOptions(given: SeedCase): CallOptions {
  const { config } = given;
  const factor = numberOf(config, "backoff_factor");
  return {
    name: typeof config["name"] === "string" ? config["name"] : "ConcurrentExecution",
    maxInFlight: numberOf(config, "max_in_flight"),
    retries: numberOf(config, "retries"),
    // Storey takes 0 for 1, which a case may call wrong: here it means no wait.
    backoffFactor: factor === 0 && !marksFault(given) ? undefined : factor,
  };
}

/** Puts a ConcurrentExecution behind a stream. */
export function concurrentStep(
  stream: Stream<unknown>,
  given: SeedCase,
  sentence: string | undefined,
  calls: Calls,
  onError: ErrorPolicy | undefined,
): Stream<unknown> {
  const { config, input } = given;
  const options = { ...callOptions(given), onError };
  const sleeps = Array.isArray(field(input, "events_sleep_ms")) ? "by event" : "as told";
  // The context of a flow is what a product's function has around it, or what a module is set up with; ours tells of the call.
  const context = config["pass_context"] === true ? (field(input, "context") ?? config["context"]) : undefined;
  const own = isFields(context) ? Object.values(context) : [];
  const concurrency = concurrencyOf(given) ?? "async";
  if (concurrency === "thread" || concurrency === "process") {
    const fn = observed(moduleFunction<typeof processed>(MODULE, { settings: { sentence, sleeps, own } }), calls);
    return stream.mapAsync(fn, { ...options, concurrency, passContext: true }).map((answer) => {
      calls.elsewhere.push(answer);
      return answer.result;
    });
  }
  const processor = processorOf(sentence);
  let count = 0;
  const call = (value: unknown): Promise<unknown> => {
    const number = ++count;
    return calls.noted(value, async () => {
      await calls.sleep(sleeps === "by event" ? Number(value) : processor.sleep);
      return processor.answer(value, number);
    });
  };
  if (config["full_event"] === true) {
    const withEvent = async (event: Event): Promise<Event> => {
      const answer = await call({ body: event.value, key: event.key ?? null });
      return { ...event, value: isFields(answer) && "body" in answer ? answer["body"] : answer };
    };
    return stream.mapAsync(withEvent, { ...options, fullEvent: true });
  }
  if (config["pass_context"] !== true) return stream.mapAsync(call, options);
  return stream.mapAsync(async (value, { step }) => (step === options.name ? [await call(value), ...own] : ["no context"]), {
    ...options,
    passContext: true,
  });
}

/** The same function, whose calls are noted. */
function observed<In, Out>(fn: ModuleFunction<In, Out>, calls: Calls): ModuleFunction<In, Out> {
  const place: ModuleFunction<In, Out>["place"] = (concurrency, maxInFlight) => {
    const spec = fn.place(concurrency, maxInFlight);
    const open: typeof spec.open = async (context, options) => {
      const model = await spec.open(context, options);
      const caller: typeof model.caller = (who) => {
        const asked = model.caller(who);
        const predict: typeof asked.predict = (inputs, call) =>
          calls.noted((inputs[0] as ModuleCall).value, () => asked.predict(inputs, call));
        return { maxInFlight: asked.maxInFlight, predict, [Symbol.dispose]: () => asked[Symbol.dispose]() };
      };
      return { identity: model.identity, caller, [Symbol.asyncDispose]: () => model[Symbol.asyncDispose]() };
    };
    return { ...spec, open };
  };
  return { ...fn, place };
}
