import { from } from "millrace";
import { runPipeline } from "millrace/testing";

import { sinkOf, sourceOf } from "../pipeline/source-of.ts";
import type { SeedCase } from "./case.ts";
import { eventsOf, UnknownCase } from "./case.ts";
import { expression } from "./python.ts";
import type { Seen } from "./seen.ts";

/** Runs a case of a Map that selects outlets, each of which puts its name before the event: none selected means all. */
export async function runOutlets({ feature, config, input }: SeedCase): Promise<Seen> {
  const outlets = config["outlets"];
  const selected = /returns (\[.*\]|None)/.exec(feature)?.[1];
  if (!Array.isArray(outlets) || selected === undefined) throw new UnknownCase("outlets and what is selected of them");
  const chosen = (expression(selected)({}) ?? []) as readonly unknown[];
  const branches = chosen.length === 0 ? outlets : chosen;
  const plan = from(sourceOf<unknown>())
    .flatMap((value) => branches.map((name) => `${String(name)}${String(value)}`))
    .to(sinkOf());
  const { values } = await runPipeline(
    plan,
    eventsOf(input).map((value) => ({ value })),
  );
  return { output: values };
}
