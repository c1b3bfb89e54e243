import { from } from "millrace";
import { runPipeline } from "millrace/testing";
import { advance } from "millrace/testing";

import { sinkOf, sourceOf } from "../pipeline/source-of.ts";
import { Calls } from "./calls.ts";
import type { Fields, SeedCase } from "./case.ts";
import { isFields, numberOf, targetOf, UnknownCase } from "./case.ts";
import type { Judged } from "./judge.ts";
import { isTrue, text } from "./python-values.ts";
import { functionOf } from "./python.ts";
import { timelineOf } from "./timeline.ts";

/** Cases of streamz for what Millrace has as well: map, filter, flatten and partition. */
export async function streamz(given: SeedCase): Promise<Judged> {
  const { feature, config, input } = given;
  const kind = /^\w+/.exec(feature)?.[0] ?? "";
  const { events } = timelineOf(input, undefined);
  const isTimed = Array.isArray(input) && input.some((each) => isFields(each) && "t" in each);
  const calls = new Calls();
  const output: unknown[] = [];
  const stream = from(sourceOf<unknown>())
    .via<unknown>("clock", (batches, run) => {
      calls.clock = run.clock;
      return batches;
    })
    .map((event) => (event as Fields)["body"]);
  const plan = step(stream, kind, config)
    .tap((value) => void output.push(isTimed ? [calls.now() / 1000, value] : value))
    .to(sinkOf());
  let now = 0;
  const timeline = events.flatMap(({ at, event }) => {
    const before = at - now;
    now = at;
    return before > 0 ? [advance(before), { value: event }] : [{ value: event }];
  });
  // What is left of a partition at the end is not given.
  await runPipeline(plan, isTimed ? [...timeline, advance("10s")] : timeline, { ending: "stop" });
  return { target: targetOf(given), seen: isTimed ? { output_t: output, output } : { output } };
}

type Stream = ReturnType<typeof from<unknown>>;

function step(stream: Stream, kind: string, config: Fields): Stream {
  const source = config["fn"];
  const fn = functionOf(typeof source === "string" ? source : "x");
  if (kind === "flatten") return stream.flatMap((value) => value as readonly unknown[]);
  if (kind === "map") return stream.map((value) => fn(value));
  if (kind === "filter") return stream.filter((value) => isTrue(fn(value)));
  if (kind !== "partition") throw new UnknownCase(`Millrace has nothing like ${kind}`);
  const { key } = config;
  const seconds = numberOf(config, "timeout");
  const keyOf = typeof key === "string" ? functionOf(key) : undefined;
  return stream.batch({
    size: numberOf(config, "n"),
    time: seconds === undefined ? undefined : seconds * 1000,
    ...(keyOf === undefined ? {} : { key: (value: unknown) => text(keyOf(value)) }),
  });
}
