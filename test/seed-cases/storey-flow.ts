import type { DeadLetter, Stream } from "millrace";
import { from } from "millrace";
import type { Advance, TestEvent } from "millrace/testing";
import { advance, runPipeline } from "millrace/testing";

import { boxOf, sinkOf, sourceOf } from "../pipeline/source-of.ts";
import { Calls } from "./calls.ts";
import type { SeedCase } from "./case.ts";
import { eventsOf, field, targetOf } from "./case.ts";
import { concurrentStep } from "./concurrent-step.ts";
import type { Processor } from "./processor.ts";
import { processorOf } from "./processor.ts";
import { told } from "./python-error.ts";
import type { Recovery } from "./recovery.ts";
import { BEHIND, recoveryOf, sawOf } from "./recovery.ts";
import type { Seen } from "./seen.ts";
import { AnyOf } from "./seen.ts";
import { stepFunction, stepKind } from "./storey-steps.ts";

/** What cases call that which went to the error stream. */
const PUSHED = ["pushed_errors", "pushed", "push_error", "error_stream"];

/** Runs a case of events that go through a step, and maybe one behind it. */
export async function runFlow(given: SeedCase): Promise<Seen> {
  const { input } = given;
  const target = targetOf(given);
  const calls = new Calls();
  const recovery = recoveryOf(given);
  const sentence = sentenceIn(given, target);
  const processor = sentence === undefined ? undefined : processorOf(sentence);
  const passed: unknown[] = [];
  const output: unknown[] = [];
  let stream: Stream<unknown> = watched(from(sourceOf<unknown>()), calls);
  stream = withStep(stream, given, { sentence, calls, recovery });
  stream = stream.tap((value, event) => void (recovery.offsets.has(event.offset) || passed.push(value)));
  stream = withDownstream(stream, given).tap((value) => void output.push(value));
  if (recovery.pushes) stream = stream.deadLetter(boxOf());
  const run = await runPipeline(stream.to(sinkOf()), timeline(input, processor)).then(
    ({ letters }) => ({ letters, error: undefined }),
    (error: unknown) => ({ letters: [], error: told(error) }),
  );
  const failure = run.error ?? null;
  return {
    output,
    result: failure === null ? output : { raised: failure },
    raised: failure,
    error: failure,
    emit_error: failure,
    termination_error: failure,
    passed_downstream: passed,
    attempts: calls.all.length,
    sleeps_s: calls.waits,
    max_concurrent: calls.most,
    handler_saw: sawOf(recovery.recovered, field(target, "handler_saw")),
    ...Object.fromEntries(PUSHED.map((name) => [name, run.letters.map(pushedForm)])),
  };
}

/** What went to the error stream, in the forms in which a case may tell it. */
function pushedForm({ error: name, message, step, value: bytes }: DeadLetter): unknown {
  const value: unknown = JSON.parse(Buffer.from(bytes ?? []).toString() || "null");
  const forms = new AnyOf(message, `${name}: ${message}`, `${name}('${message}')`, step, value);
  return new AnyOf([forms, forms], [forms, forms, forms], forms);
}

/** What the step's function does, as a sentence. */
function sentenceIn({ feature, config, input }: SeedCase, target: unknown): string | undefined {
  const given = [field(input, "processor"), config["processor"], config["event_processor"]].find((each) => typeof each === "string");
  if (given !== undefined || stepKind(feature) !== undefined) return given;
  // How many are called at once shows only when each takes a while.
  return field(target, "max_concurrent") === undefined ? undefined : "sleeps 30 ms";
}

function watched(stream: Stream<unknown>, calls: Calls): Stream<unknown> {
  return stream.via<unknown>("clock", (batches, run) => {
    calls.clock = run.clock;
    return batches;
  });
}

function withStep(
  stream: Stream<unknown>,
  given: SeedCase,
  { sentence, calls, recovery }: { readonly sentence: string | undefined; readonly calls: Calls; readonly recovery: Recovery },
): Stream<unknown> {
  const kind = stepKind(given.feature);
  if (kind === undefined) return concurrentStep(stream, given, sentence, calls, recovery.policy);
  const step = stepFunction(kind, given, sentence === undefined ? undefined : processorOf(sentence));
  return stream.flatMap((value) => step(value), { name: kind, onError: recovery.policy });
}

/** A Map behind the step. */
function withDownstream(stream: Stream<unknown>, { input, config }: SeedCase): Stream<unknown> {
  const sentence = field(input, "downstream_map") ?? config["downstream_map"];
  if (typeof sentence !== "string") return stream;
  const processor = processorOf(sentence);
  let calls = 0;
  return stream.map((value) => processor.answer(value, ++calls), { name: BEHIND });
}

/** The events of the input, with the time between them. */
function timeline(input: unknown, processor: Processor | undefined): readonly (TestEvent | Advance)[] {
  const sleeps = field(input, "events_sleep_ms");
  const events = Array.isArray(sleeps) ? (sleeps as readonly unknown[]) : eventsOf(input);
  const gap = processor?.gap ?? 0;
  return events.flatMap((value: unknown, index) => (gap > 0 && index > 0 ? [advance(gap), { value }] : [{ value }]));
}
