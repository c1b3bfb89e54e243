import { from } from "millrace";
import type { Advance, TestEvent } from "millrace/testing";
import { advance, runPipeline } from "millrace/testing";

import { sinkOf, sourceOf } from "../pipeline/source-of.ts";
import { batchesOf } from "./batches.ts";
import { Calls } from "./calls.ts";
import type { Fields, SeedCase } from "./case.ts";
import { field, isFields, marksFault, numberOf, targetOf } from "./case.ts";
import { text } from "./python-values.ts";
import { functionOf } from "./python.ts";
import type { Seen } from "./seen.ts";
import type { Timed } from "./timeline.ts";
import { timelineOf } from "./timeline.ts";

/** What a case says of its batches. */
interface BatchConfig {
  readonly size: number | undefined;
  /** Milliseconds. */
  readonly time: number | undefined;
  readonly key: ((event: Fields) => unknown) | undefined;
}

/** Runs a case of Storey's Batch. */
export async function runBatch(given: SeedCase): Promise<Seen> {
  const { config, input } = given;
  const { events, end } = timelineOf(input, keyName(config));
  const plan = configOf(config);
  const batches = await batched(plan, events, end);
  const entry = entryOf(config);
  const bodies = batches.map(({ values }) => values.map(entry));
  return {
    output: bodies,
    bodies,
    output_types: bodies.map((batch) => batch.map(() => (config["full_event"] === false ? "body" : "Event"))),
    output_t_and_batch: batches.map(({ at }, index) => [at / 1000, bodies[index]]),
  };
}

/** What is right: where Storey's timer of an earlier batch cuts a later one short, each batch has its own. */
export function batchTarget(given: SeedCase): unknown {
  const target = targetOf(given);
  if (given.expected_reference !== undefined || !marksFault(given) || field(target, "output_t_and_batch") === undefined) return target;
  const { size, time, key } = configOf(given.config);
  const { events, end } = timelineOf(given.input, keyName(given.config));
  const entry = entryOf(given.config);
  const right = batchesOf(events, { size, time, key: key === undefined ? undefined : (event) => key(event as Fields), end });
  return {
    ...(target as Fields),
    output_t_and_batch: right.map(({ at, values }) => [at / 1000, values.map((value) => entry(value as Fields))]),
  };
}

function configOf(config: Fields): BatchConfig {
  const seconds = numberOf(config, "flush_after_seconds");
  return {
    size: numberOf(config, "max_events"),
    time: seconds === undefined ? undefined : Math.max(1, seconds * 1000),
    key: keyOf(config["key_field"]),
  };
}

function keyName({ key_field: name }: Fields): string | undefined {
  return typeof name === "string" && /^\w+$/.test(name) ? name : undefined;
}

function keyOf(given: unknown): BatchConfig["key"] {
  if (typeof given !== "string") return undefined;
  if (given.startsWith("$")) return (event) => event[given.slice(1)];
  if (/^\w+$/.test(given)) return ({ body }) => field(body, given);
  const evaluate = functionOf(given);
  return ({ body }) => evaluate(body);
}

/** What is kept of an event in its batch. */
function entryOf({ key_field: key, drop_key_field: drop, input_path: path }: Fields): (event: Fields) => unknown {
  return ({ body }) => {
    if (typeof path === "string") return path.split(".").reduce<unknown>((inner, name) => field(inner, name), body);
    if (drop !== true || !isFields(body) || typeof key !== "string") return body;
    return Object.fromEntries(Object.entries(body).filter(([name]) => name !== key));
  };
}

/** What goes through Millrace's batch, and when, in milliseconds. */
async function batched({ size, time, key }: BatchConfig, events: readonly Timed[], end: number | undefined) {
  const calls = new Calls();
  const batches: { readonly at: number; readonly values: readonly Fields[] }[] = [];
  const plan = from(sourceOf<Fields>())
    .via<Fields>("clock", (input, run) => {
      calls.clock = run.clock;
      return input;
    })
    .batch({ size, time, ...(key === undefined ? {} : { key: (event: Fields) => text(key(event)) }) })
    .tap((values) => void batches.push({ at: calls.now(), values }))
    .to(sinkOf());
  const timeline: (TestEvent | Advance)[] = [];
  let now = 0;
  for (const { at, event } of events) {
    if (at > now) timeline.push(advance(at - now));
    now = Math.max(now, at);
    timeline.push({ value: event });
  }
  if (end !== undefined && end > now) timeline.push(advance(end - now));
  await runPipeline(plan, timeline);
  return batches;
}
