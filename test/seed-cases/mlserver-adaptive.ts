import { setImmediate } from "node:timers/promises";

import { VirtualClock } from "millrace/testing";

import { noModelStats } from "../../src/model-stats.ts";
import type { ModelAnswer } from "../../src/model.ts";
import { Batcher } from "../../src/models/batcher.ts";
import type { AdaptiveCall, Request } from "./adaptive.ts";
import { adaptiveCalls } from "./adaptive.ts";
import type { Fields, SeedCase } from "./case.ts";
import { field, numberOf, targetOf, UnknownCase } from "./case.ts";
import type { Judged } from "./judge.ts";
import { PythonError, told } from "./python-error.ts";
import { isSame } from "./seen.ts";

/** What MLServer is told of its batching. */
interface AdaptiveCase {
  readonly requests: readonly Request[];
  readonly size: number;
  /** Seconds. */
  readonly time: number;
  readonly failure: PythonError | undefined;
}

/**
 * A case of adaptive batching. Where it tells what MLServer does, the same requests should come to what is right: rows are counted, and
 * what no other can join does not wait.
 */
export async function adaptive(given: SeedCase): Promise<Judged> {
  const parsed = caseOf(given);
  const { requests, size, time } = parsed;
  const target = targetOf(given) as Fields;
  const theirs = told_(parsed, adaptiveCalls(requests, { size, time, counts: "requests", alone: "waits" }));
  const isTheirs = Object.entries(target).every(([name, value]) => isSame(value, theirs[name], 0.03));
  const right = told_(parsed, adaptiveCalls(requests, { size, time, counts: "rows", alone: "goes" }));
  const wanted = isTheirs ? Object.fromEntries(Object.keys(target).map((name) => [name, right[name]])) : target;
  return { target: wanted, seen: await batched(parsed) };
}

function caseOf({ feature, config, input }: SeedCase): AdaptiveCase {
  const unknown = Object.keys(config).find((name) => name !== "max_batch_size" && name !== "max_batch_time");
  const requests = field(input, "requests_t_rows");
  if (unknown !== undefined || !Array.isArray(requests)) throw new UnknownCase(`adaptive batching with ${unknown ?? "no requests"}`);
  return {
    requests: requests as readonly Request[],
    size: numberOf(config, "max_batch_size") ?? 0,
    time: numberOf(config, "max_batch_time") ?? 0,
    failure: /error/.test(feature) ? new PythonError("ValueError", "model failed") : undefined,
  };
}

/** Calls as cases tell them. */
function told_({ requests, failure }: AdaptiveCase, calls: readonly AdaptiveCall[]): Fields {
  const rows = (index: number) => requests[index]?.[1] ?? 0;
  const answer = (index: number) => (failure === undefined ? Array.from({ length: rows(index) }, () => index) : told(failure));
  return {
    predict_calls_t_rows: calls.map((call) => [call.at, call.requests.reduce((sum, index) => sum + rows(index), 0)]),
    responses: calls.flatMap((call) => call.requests.map((index) => [call.at, `r${index}`, answer(index)])),
  };
}

/** What Millrace's batcher does with them. A row is the number of its request. */
async function batched({ requests, size, time, failure }: AdaptiveCase): Promise<Fields> {
  const clock = new VirtualClock();
  const seconds = () => clock.now() / 1000;
  const calls: (readonly [number, number])[] = [];
  const asked = new Set<unknown>();
  const identity = { name: "stub", version: "1" };
  const send = async (rows: readonly unknown[]): Promise<ModelAnswer> => {
    // After a failure each request is tried alone, to see whose fault it is: that is no call of a batch.
    if (rows.some((row) => !asked.has(row))) calls.push([seconds(), rows.length]);
    for (const row of rows) asked.add(row);
    if (failure !== undefined) throw failure;
    return { outputs: rows, identity };
  };
  await using batcher = new Batcher({ capacity: 1000, identity, stats: noModelStats(), send }, clock);
  const batching = { maxSize: size, maxDelay: time * 1000, maxQueuedRows: 1_000_000, maxQueuedBytes: Number.MAX_SAFE_INTEGER };
  const signal = new AbortController().signal;
  // Each request has a client of its own; where there are several, one more may come at any time.
  const callers = requests.map((_, index) => batcher.caller({ name: `r${index}`, maxInFlight: 1, priority: 0 }, batching));
  if (requests.length > 1) callers.push(batcher.caller({ name: "another", maxInFlight: 1, priority: 0 }, batching));
  const responses: (readonly [number, string, unknown])[] = [];
  const answers: Promise<unknown>[] = [];
  for (const [index, [at, rows]] of requests.entries()) {
    await clock.advance(at * 1000 - clock.now());
    const inputs = Array.from({ length: rows }, () => index);
    const answer =
      callers[index]?.predict(inputs, { events: [], signal, until: Number.POSITIVE_INFINITY }) ?? Promise.reject(new Error("no caller"));
    answers.push(
      answer.then(
        ({ outputs }) => responses.push([seconds(), `r${index}`, Array.from(outputs)]),
        (error: unknown) => responses.push([seconds(), `r${index}`, told(error)]),
      ),
    );
    await setImmediate();
  }
  await clock.advance(time * 1000 * requests.length + 1000);
  await Promise.all(answers);
  for (const caller of callers) caller[Symbol.dispose]();
  // Of those of one moment none is the first.
  responses.sort(([a, first], [b, second]) => Math.round(100 * (a - b)) || first.localeCompare(second));
  return { predict_calls_t_rows: calls, responses };
}
