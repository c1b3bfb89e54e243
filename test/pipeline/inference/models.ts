import { worker } from "millrace";

import type { Event } from "../../../src/batch.ts";
import type { Clock } from "../../../src/clock.ts";
import { sleep } from "../../../src/clock.ts";
import type { ModelSpec, RunnerContext } from "../../../src/model.ts";
import type { Place } from "../../../src/models/place.ts";
import { placed } from "../../../src/models/place.ts";
import type double from "../../models/products/double.ts";

/** Doubles numbers, as a real model in the worker. */
export function doubleModel(): ReturnType<typeof worker<typeof double>> {
  return worker<typeof double>(import.meta.resolve("../../models/products/double.ts"));
}

let places = 0;

/** What a model of tests does with a row; it may throw, or wait for the clock. */
export type RowFunction<Out> = (row: number, clock: Clock) => Out | Promise<Out>;

/** A model over numbers whose time and faults a test decides. What a row's function throws is what the call throws. */
export function modelOf<Out>(
  name: string,
  fn: RowFunction<Out>,
  load: (context: RunnerContext) => unknown = () => undefined,
): ModelSpec<number, Out> {
  const place: Place = {
    kind: "test",
    description: { model: name },
    key: `${name} ${++places}`,
    load: async (context) => {
      await load(context);
      return {
        identity: { name, version: "1" },
        capacity: 8,
        run: async (rows) => await Promise.all(rows.map((row) => fn(row as number, context.clock))),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    },
  };
  return placed(place) as ModelSpec<number, Out>;
}

/** Waits on the pipeline's clock. */
export async function takes(ms: number, clock: Clock): Promise<void> {
  await sleep(ms, new AbortController().signal, clock);
}

/** Which models an event went through, by its headers. */
export function modelsOf({ headers }: Event): string {
  return (headers ?? []).flatMap(([name, value]) => (name === "millrace-model" ? [String(value)] : [])).join(" ");
}

/** The numbers from 0 on, as events; with a key of its own each. */
export function numbers(count: number): { readonly value: number; readonly key: string }[] {
  return Array.from({ length: count }, (_, value) => ({ value, key: `key-${value}` }));
}
