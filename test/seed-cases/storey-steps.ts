import { isFields, UnknownCase } from "./case.ts";
import type { SeedCase } from "./case.ts";
import type { Processor } from "./processor.ts";
import { processorOf } from "./processor.ts";
import { PythonError } from "./python-error.ts";
import { isTrue } from "./python-values.ts";
import { functionOf } from "./python.ts";

/** What a synchronous step of Storey does with an event: what goes on in its place. */
export type StepFunction = (value: unknown) => readonly unknown[];

/** The steps that have a function, and what they do with what it returns. */
const STEPS: Readonly<Record<string, (fn: (value: unknown) => unknown) => StepFunction>> = {
  Map: (fn) => (value) => [fn(value)],
  Filter: (fn) => (value) => (isTrue(fn(value)) ? [value] : []),
  FlatMap: (fn) => (value) => fn(value) as readonly unknown[],
  Extend: (fn) => (value) => [{ ...(value as object), ...(fn(value) as object) }],
  Flatten: () => (value) => value as readonly unknown[],
  ForEach: (fn) => (value) => (fn(value), [value]),
};

/** The kind of step that a case is about, by its feature. */
export function stepKind(feature: string): string | undefined {
  const [kind = ""] = /^[A-Za-z]+/.exec(feature) ?? [];
  return Object.hasOwn(STEPS, kind) ? kind : undefined;
}

/** What such a step does, of the case's function. */
export function stepFunction(kind: string, of: SeedCase, processor: Processor | undefined): StepFunction {
  const { config, input } = of;
  const source = [config["fn"], isFields(input) ? input["fn"] : undefined].find((given) => typeof given === "string");
  let calls = 0;
  if (processor === undefined && /\b(?:raises|fails|returns)\b/.test(source ?? ""))
    return stepFunction(kind, { ...of, config: { ...config, fn: undefined } }, processorOf(source));
  const given = processor === undefined ? functionOf(source ?? "x") : (value: unknown) => processor.answer(value, ++calls);
  const at = { from: pathOf(config["input_path"]), to: pathOf(config["result_path"]) };
  const make = STEPS[kind];
  if (make === undefined) throw new UnknownCase(`no step ${kind}`);
  const fn = (value: unknown) => given(valueAt(value, at.from));
  if (at.to.length === 0) return make(fn);
  if (kind !== "Map") throw new UnknownCase(`a result_path of ${kind}`);
  return make((value) => withValueAt(value, at.to, fn(value)));
}

function pathOf(given: unknown): readonly string[] {
  return typeof given === "string" ? given.split(".") : [];
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  if (path.length > 0 && !isFields(value)) throw new PythonError("TypeError", "input_path parameter supports only dict-like event bodies");
  return path.reduce((inner, name) => (isFields(inner) ? (inner[name] ?? null) : null), value);
}

function withValueAt(value: unknown, [name = "", ...rest]: readonly string[], result: unknown): unknown {
  if (!isFields(value)) throw new PythonError("TypeError", "result_path parameter supports only dict-like event bodies");
  return { ...value, [name]: rest.length === 0 ? result : withValueAt(value[name] ?? {}, rest, result) };
}
